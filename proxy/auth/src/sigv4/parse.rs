//! From a request's text to an [`Authorization`].

use std::borrow::Cow;

use super::canonical::{decode, query_pairs};
use super::{
    ALGORITHM, AmzDate, Authorization, Form, MAXIMUM_AUTHORIZATION, MAXIMUM_EXPIRES,
    MAXIMUM_SIGNED_HEADERS, RequestParts, SignatureError, error,
};
use crate::date;

pub(super) fn authorization<'a>(
    request: &RequestParts<'a>,
) -> Result<Option<Authorization<'a>>, SignatureError> {
    let header = request.headers.value("authorization", 0).filter(|value| !value.is_empty());
    let is_presigned =
        query_pairs(request.query).any(|(name, _)| decode(name) == "X-Amz-Algorithm");
    match (header, is_presigned) {
        (None, false) => Ok(None),
        (Some(_), true) => Err(SignatureError::Ambiguous),
        (Some(header), false) => from_header(request, header).map(Some),
        (None, true) => from_query(request).map(Some),
    }
}

fn from_header<'a>(
    request: &RequestParts<'a>,
    header: &'a [u8],
) -> Result<Authorization<'a>, SignatureError> {
    if header.len() > MAXIMUM_AUTHORIZATION {
        return Err(error::too_long("bytes of an Authorization header:", MAXIMUM_AUTHORIZATION));
    }
    let Ok(header) = std::str::from_utf8(header) else {
        return Err(error::not_key_value(&String::from_utf8_lossy(header)));
    };
    let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
    if algorithm.contains('=') {
        return Err(error::no_algorithm());
    }
    let parameters =
        HeaderParameters::parse(parameters).ok_or_else(|| error::not_key_value(header))?;
    let text = |name| request.headers.value(name, 0).filter(|value| !value.is_empty());
    let date = text("x-amz-date").or_else(|| text("date"));
    let (Some(credential), Some(signed_headers), Some(signature), Some(date)) =
        (parameters.credential, parameters.signed_headers, parameters.signature, date)
    else {
        return Err(error::missing_parameters(&parameters.missing(), date.is_some(), header));
    };
    Authorization::new(
        algorithm,
        credential.into(),
        signed_headers,
        signature,
        &String::from_utf8_lossy(date),
        Form::Header,
        text("x-amz-security-token").map(String::from_utf8_lossy),
    )
}

/// What follows the algorithm in an `Authorization` header.
#[derive(Default)]
struct HeaderParameters<'a> {
    credential: Option<&'a str>,
    signed_headers: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> HeaderParameters<'a> {
    /// None if there is something without `=`. Unknown names are no matter.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parameters = Self::default();
        for pair in text.split([',', ' ']).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let value = Some(value).filter(|value| !value.is_empty());
            match name {
                "Credential" => parameters.credential = value,
                "SignedHeaders" => parameters.signed_headers = value,
                "Signature" => parameters.signature = value,
                _ => {}
            }
        }
        Some(parameters)
    }

    /// In the order in which AWS names them.
    fn missing(&self) -> Vec<&'static str> {
        [
            ("Credential", self.credential),
            ("Signature", self.signature),
            ("SignedHeaders", self.signed_headers),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.is_none().then_some(name))
        .collect()
    }
}

fn from_query<'a>(request: &RequestParts<'a>) -> Result<Authorization<'a>, SignatureError> {
    let parameter = |name: &str| {
        let mut pairs = query_pairs(request.query);
        let (_, value) = pairs.find(|(candidate, _)| decode(candidate) == name)?;
        Some(decode(value)).filter(|value| !value.is_empty())
    };
    const NAMES: [&str; 5] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
    ];
    let [Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date)] =
        NAMES.map(parameter)
    else {
        let missing: Vec<&str> =
            NAMES.into_iter().filter(|name| parameter(name).is_none()).collect();
        return Err(error::missing_query_parameters(&missing));
    };
    let expires = parameter("X-Amz-Expires")
        .and_then(|expires| expires.parse().ok())
        .filter(|expires| (1..=MAXIMUM_EXPIRES).contains(expires))
        .ok_or_else(error::wrong_expires)?;
    Authorization::new(
        &algorithm,
        credential,
        &signed_headers,
        &signature,
        &date,
        Form::Query { expires },
        parameter("X-Amz-Security-Token"),
    )
}

impl<'a> Authorization<'a> {
    fn new(
        algorithm: &str,
        credential: Cow<'a, str>,
        signed_headers: &str,
        signature: &str,
        date: &str,
        form: Form,
        session_token: Option<Cow<'a, str>>,
    ) -> Result<Self, SignatureError> {
        let date = AmzDate::parse(date).ok_or_else(|| error::wrong_date(date))?;
        let signed_headers = names(signed_headers)?;
        if !signed_headers.iter().any(|name| name == "host") {
            return Err(SignatureError::HostNotSigned);
        }
        if algorithm != ALGORITHM {
            return Err(error::wrong_algorithm(algorithm));
        }
        if credential.split('/').count() != 5 || credential.split('/').any(str::is_empty) {
            return Err(error::wrong_credential(&credential));
        }
        let signature = bytes(signature);
        Ok(Self { form, credential, signed_headers, signature, date, session_token })
    }
}

/// The names of a list such as `host;x-amz-date`.
fn names(list: &str) -> Result<Vec<String>, SignatureError> {
    if list.split(';').count() > MAXIMUM_SIGNED_HEADERS {
        return Err(error::too_long("names in SignedHeaders:", MAXIMUM_SIGNED_HEADERS));
    }
    let mut names: Vec<String> = list.split(';').map(str::to_ascii_lowercase).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// 32 bytes from 64 hexadecimal digits.
fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(bytes)
}

impl AmzDate {
    /// `20150830T123600Z`, or a date as in HTTP's `Date`: `Sun, 30 Aug 2015 12:36:00 GMT`, where
    /// `+0000` and `-0000` (botocore's) are as good as `GMT`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let extended = basic(text).or_else(|| http_date(text))?;
        Some(Self::from_seconds(date::parse(&extended)?.div_euclid(1000)))
            .filter(|date| date.seconds > 0)
    }
}

/// `2015-08-30T12:36:00Z` from `20150830T123600Z`.
fn basic(text: &str) -> Option<String> {
    let is_basic = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    is_basic.then(|| {
        let (date, time) = text.split_at(8);
        let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
        format!("{year}-{month}-{day}T{}:{}:{}Z", &time[1..3], &time[3..5], &time[5..7])
    })
}

/// `2015-08-30T12:36:00Z` from `Sun, 30 Aug 2015 12:36:00 GMT`.
fn http_date(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let is_utc = matches!(words.next()?, "GMT" | "UTC" | "+0000" | "-0000");
    (is_utc && words.next().is_none()).then(|| format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}
