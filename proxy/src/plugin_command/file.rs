//! The request file of `tollgate plugin test`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use tollgate_plugin_host::{ClientCertificate, Headers, RequestInfo};

use crate::definitions::reason;

/// A request, what is known of it, and what the backend answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct TestRequest {
    pub method: String,
    /// May have the query behind a `?`.
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderList,
    pub body: Value,
    pub resource: String,
    pub stage: String,
    pub api_id: String,
    pub path_parameters: BTreeMap<String, String>,
    pub stage_variables: BTreeMap<String, String>,
    pub source_address: String,
    pub protocol: Protocol,
    /// Values of `$context` variables, by name.
    pub context: BTreeMap<String, String>,
    pub response: Option<TestResponse>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub enum Protocol {
    #[serde(rename = "HTTP/1.0")]
    Http10,
    #[default]
    #[serde(rename = "HTTP/1.1")]
    Http11,
    #[serde(rename = "HTTP/2")]
    Http2,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestResponse {
    pub status: u16,
    pub headers: HeaderList,
    pub body: Value,
}

/// An object of texts or lists of texts, or a list of pairs.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "headers are an object of texts or lists of texts, or a list of pairs"
)]
pub enum HeaderList {
    Object(indexmap::IndexMap<String, OneOrMany>),
    Pairs(Vec<(String, String)>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for HeaderList {
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

impl Default for TestRequest {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: None,
            headers: HeaderList::default(),
            body: Value::Null,
            resource: "/{proxy+}".to_owned(),
            stage: "test".to_owned(),
            api_id: "plugintest".to_owned(),
            path_parameters: BTreeMap::new(),
            stage_variables: BTreeMap::new(),
            source_address: "127.0.0.1".to_owned(),
            protocol: Protocol::default(),
            context: BTreeMap::new(),
            response: None,
        }
    }
}

impl Default for TestResponse {
    fn default() -> Self {
        Self { status: 200, headers: HeaderList::default(), body: Value::Null }
    }
}

/// Reads one request, or a list of them.
pub fn read(file: &Path) -> anyhow::Result<Vec<TestRequest>> {
    let place = || file.display().to_string();
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    if let Err(error) = read {
        bail!("{}: cannot be read: {}", place(), reason(&error));
    }
    let requests = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(&text),
        false => serde_json::from_str(&text).map(|request| vec![request]),
    };
    requests.with_context(place)
}

impl TestRequest {
    /// The path with the query.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    pub fn body(&self) -> Vec<u8> {
        bytes(&self.body)
    }

    /// As plugins see them.
    pub fn header_list(&self) -> Headers {
        let mut headers = Headers::default();
        headers.push(b":method", self.method.as_bytes());
        headers.push(b":path", self.target().as_bytes());
        let pairs = self.headers.pairs();
        let host = pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = host.map_or("localhost", |(_, host)| host);
        headers.push(b":authority", host.as_bytes());
        headers.push(b":scheme", b"http");
        for (name, value) in pairs.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }
}

impl TestResponse {
    pub fn body(&self) -> Vec<u8> {
        bytes(&self.body)
    }

    pub fn header_list(&self) -> Headers {
        let mut headers = Headers::default();
        headers.push(b":status", self.status.to_string().as_bytes());
        for (name, value) in self.headers.pairs() {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }
}

impl HeaderList {
    fn pairs(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Pairs(pairs) => {
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
            Self::Object(object) => object
                .iter()
                .flat_map(|(name, values)| {
                    let values = match values {
                        OneOrMany::One(value) => std::slice::from_ref(value),
                        OneOrMany::Many(values) => values,
                    };
                    values.iter().map(|value| (name.as_str(), value.as_str()))
                })
                .collect(),
        }
    }
}

/// Text as it is, anything else as JSON.
fn bytes(body: &Value) -> Vec<u8> {
    match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        value => value.to_string().into_bytes(),
    }
}

impl RequestInfo for TestRequest {
    fn request_id(&self) -> &str {
        self.context.get("requestId").map_or("00000000-0000-0000-0000-000000000000", |id| id)
    }

    fn api_id(&self) -> &str {
        &self.api_id
    }

    fn stage(&self) -> &str {
        &self.stage
    }

    fn resource(&self) -> &str {
        &self.resource
    }

    fn method_arn(&self) -> String {
        format!(
            "arn:aws:execute-api:us-east-1:000000000000:{}/{}/{}{}",
            self.api_id, self.stage, self.method, self.path
        )
    }

    fn source_address(&self) -> &str {
        &self.source_address
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.source_address.parse().ok().map(|ip| SocketAddr::new(ip, 50_000))
    }

    fn local(&self) -> Option<SocketAddr> {
        None
    }

    fn protocol(&self) -> &'static str {
        match self.protocol {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
    }

    fn tls_version(&self) -> Option<&str> {
        None
    }

    fn server_name(&self) -> Option<&str> {
        None
    }

    fn client_certificate(&self) -> Option<ClientCertificate<'_>> {
        let part = |name: &str| {
            let value = self.context.get(&format!("identity.clientCert.{name}"));
            value.map(|value| Cow::Borrowed(value.as_str()))
        };
        Some(ClientCertificate {
            pem: part("clientCertPem")?,
            subject: part("subjectDN").unwrap_or_default(),
            issuer: part("issuerDN").unwrap_or_default(),
            serial_number: part("serialNumber").unwrap_or_default(),
            not_before: part("validity.notBefore").unwrap_or_default(),
            not_after: part("validity.notAfter").unwrap_or_default(),
        })
    }

    fn started(&self) -> SystemTime {
        SystemTime::now()
    }

    fn each_path_parameter(&self, f: &mut dyn FnMut(&str, &str)) {
        self.path_parameters.iter().for_each(|(name, value)| f(name, value));
    }

    fn each_stage_variable(&self, f: &mut dyn FnMut(&str, &str)) {
        self.stage_variables.iter().for_each(|(name, value)| f(name, value));
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        self.stage_variables.get(name).map(String::as_str)
    }

    fn context(&self, name: &str) -> Option<String> {
        match name {
            "identity.sourceIp" => Some(self.source_address.clone()),
            name => self.context.get(name).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TestRequest, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn headers_are_an_object_or_pairs_and_host_is_the_authority() {
        for text in [
            r#"{"headers": {"Host": "x.test", "Accept": ["a", "b"]}}"#,
            r#"{"headers": [["host", "x.test"], ["accept", "a"], ["accept", "b"]]}"#,
        ] {
            let headers = parse(text).unwrap().header_list();
            assert_eq!(headers.get(b":authority"), Some(&b"x.test"[..]));
            assert_eq!(headers.get(b"host"), None);
            assert_eq!(headers.get_all(b"accept").count(), 2);
        }
        assert!(
            parse(r#"{"headers": {"a": 1}}"#).unwrap_err().starts_with("headers are an object")
        );
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert!(parse(r#"{"url": "/"}"#).unwrap_err().starts_with("unknown field `url`"));
    }

    #[test]
    fn a_body_is_text_or_json() {
        assert_eq!(parse(r#"{"body": "a\"b"}"#).unwrap().body(), b"a\"b");
        assert_eq!(parse(r#"{"body": {"a": 1}}"#).unwrap().body(), b"{\"a\":1}");
        assert_eq!(parse("{}").unwrap().body(), b"");
    }
}
