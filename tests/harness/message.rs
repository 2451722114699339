//! Requests and responses, whichever HTTP version carries them.

use serde_json::Value;

/// A request that is well-formed. What isn't is sent as bytes.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub fn get(target: &str) -> Request {
    request("GET", target)
}

pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    request("POST", target).body(body)
}

pub fn request(method: &str, target: &str) -> Request {
    Request {
        method: method.into(),
        target: target.into(),
        host: "localhost".into(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// As HTTP/1.1. A body goes with its length, unless a header says how it is framed.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text =
            format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host);
        let framed =
            self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Transfer-Encoding"));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !framed && !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A complete response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} is there more than once: {:?}", self.headers);
        Some(&value.1)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is empty.
    #[track_caller]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// Status and body in one, for a comparison that shows both when it fails.
    pub fn summary(&self) -> (u16, String) {
        (self.status, self.text())
    }

    /// The request that an echoing upstream received, line by line.
    pub fn echoed_header(&self, name: &str) -> Option<String> {
        header_in(&self.text(), name)
    }

    /// The request line that an echoing upstream received.
    pub fn echoed_line(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.text().split("\r\n").next().unwrap_or_default().to_owned()
    }

    /// Method and target that an echoing upstream received.
    pub fn echoed_target(&self) -> String {
        self.echoed_line().trim_end_matches(" HTTP/1.1").to_owned()
    }
}

/// The only value of a header in the text of a head.
pub(crate) fn header_in(head: &str, name: &str) -> Option<String> {
    let lines = head.split("\r\n").take_while(|line| !line.is_empty());
    let mut values = lines.filter_map(|line| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then(|| value.to_owned())
    });
    let value = values.next()?;
    assert!(values.next().is_none(), "{name} is there more than once: {head}");
    Some(value)
}
