//! The `format` keyword, as API Gateway's validator has it. Formats it does not know say
//! nothing about a value.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::pattern;

/// A format that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    DateTime,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Regex,
    Uri,
    Base64,
    JsonPointer,
    Mac,
    /// MD5, SHA-1, SHA-256 and SHA-512: so many hexadecimal digits.
    Digest(usize),
    Uuid,
}

const DATE_TIMES: &str = "[\"yyyy-MM-dd'T'HH:mm:ssZ\",\"yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z\"]";
/// Digits of a second's fraction.
const FRACTION_DIGITS: usize = 12;
/// Characters of a host name.
const MAX_HOSTNAME: usize = 253;
/// Characters of a label of a host name.
const MAX_LABEL: usize = 63;

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "date-time" => Self::DateTime,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "regex" => Self::Regex,
            "uri" => Self::Uri,
            "base64" => Self::Base64,
            "json-pointer" => Self::JsonPointer,
            "mac" => Self::Mac,
            "md5" => Self::Digest(32),
            "sha1" => Self::Digest(40),
            "sha256" => Self::Digest(64),
            "sha512" => Self::Digest(128),
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    pub(super) fn matches(self, text: &str) -> bool {
        match self {
            Self::DateTime => is_date_time(text),
            Self::Email => is_email(text),
            Self::Hostname => is_hostname(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Regex => pattern::is_pattern(text),
            Self::Uri => is_uri(text),
            Self::Base64 => is_base64(text),
            Self::JsonPointer => is_json_pointer(text),
            Self::Mac => is_mac(text),
            Self::Digest(length) => {
                text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            }
            Self::Uuid => is_uuid(text),
        }
    }

    /// What is said of a text that does not match; `shown` is the text, perhaps shortened.
    pub(super) fn message(self, text: &str, shown: &str) -> String {
        match self {
            Self::DateTime => {
                format!(
                    "string \"{shown}\" is invalid against requested date format(s) {DATE_TIMES}"
                )
            }
            Self::Email => format!("string \"{shown}\" is not a valid email address"),
            Self::Hostname => format!("string \"{shown}\" is not a valid hostname"),
            Self::Ipv4 => format!("string \"{shown}\" is not a valid IPv4 address"),
            Self::Ipv6 => format!("string \"{shown}\" is not a valid IPv6 address"),
            Self::Regex => {
                format!("string \"{shown}\" is not a valid ECMA 262 regular expression")
            }
            Self::Uri => format!("string \"{shown}\" is not a valid URI"),
            Self::Base64 if !text.len().is_multiple_of(4) => format!(
                "input has illegal length (must be a multiple of 4, found {})",
                text.encode_utf16().count()
            ),
            Self::Base64 => "input is not a valid Base64 string: illegal characters".to_owned(),
            Self::JsonPointer => {
                format!("input string \"{shown}\" is not a valid JSON Pointer")
            }
            Self::Mac => format!("input string \"{shown}\" is not a valid MAC address"),
            Self::Digest(length) => match text.encode_utf16().count() {
                found if found == length => "input string has illegal characters".to_owned(),
                found => format!("input string has bad length ({found}, expected {length})"),
            },
            Self::Uuid => format!("input string \"{shown}\" is not a valid UUID"),
        }
    }
}

/// `2026-01-31T23:59:59.5+01:00`
fn is_date_time(text: &str) -> bool {
    let mut bytes = text.as_bytes();
    let Some(year) = number(&mut bytes, 4) else { return false };
    let mut part = |before: u8, digits: usize| {
        bytes = bytes.strip_prefix(&[before])?;
        number(&mut bytes, digits)
    };
    let (Some(month), Some(day), Some(hour), Some(minute), Some(second)) =
        (part(b'-', 2), part(b'-', 2), part(b'T', 2), part(b':', 2), part(b':', 2))
    else {
        return false;
    };
    if day == 0 || day > days(year, month) || hour > 23 || minute > 59 || second > 59 {
        return false;
    }
    if let Some(fraction) = bytes.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=FRACTION_DIGITS).contains(&digits) {
            return false;
        }
        bytes = &fraction[digits..];
    }
    is_offset(bytes)
}

/// `Z`, `+01:00` or `+0100`.
fn is_offset(bytes: &[u8]) -> bool {
    let [b'+' | b'-', offset @ ..] = bytes else { return bytes == b"Z" };
    let mut offset = offset;
    let hours = number(&mut offset, 2);
    let mut minutes = offset.strip_prefix(b":").unwrap_or(offset);
    let minute = number(&mut minutes, 2);
    hours.is_some_and(|hours| hours <= 23)
        && minute.is_some_and(|minute| minute <= 59)
        && minutes.is_empty()
}

/// Takes so many digits off the front.
fn number(bytes: &mut &[u8], digits: usize) -> Option<u32> {
    let (front, rest) = bytes.split_at_checked(digits)?;
    let mut value = 0;
    for byte in front {
        value = value * 10 + u32::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    *bytes = rest;
    Some(value)
}

fn days(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// `local@domain`, where one label is a domain. RFC 822's quoted local parts are allowed,
/// its comments and routes are not.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_local = match local.strip_prefix('"').and_then(|local| local.strip_suffix('"')) {
        Some(quoted) => !quoted.is_empty() && !quoted.contains(['"', '\\', '\r', '\n']),
        None => {
            let special = |c: char| c.is_control() || "()<>,;:\\\"[]@ ".contains(c);
            local.split('.').all(|atom| !atom.is_empty() && !atom.contains(special))
        }
    };
    let is_literal = domain.starts_with('[') && domain.ends_with(']') && domain.len() > 2;
    is_local && (is_literal || domain.split('.').all(is_email_label))
}

fn is_email_label(label: &str) -> bool {
    !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

fn is_hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let inner = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && label.chars().all(inner)
            && !label.starts_with(['-', '_'])
            && !label.ends_with(['-', '_'])
    };
    text.len() <= MAX_HOSTNAME
        && text.split('.').all(is_label)
        // The last label can't be a number, or an address would be a name.
        && !text.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()))
}

/// A URI reference of RFC 2396 as Java reads it: characters beyond ASCII are allowed, a
/// scheme is not needed.
fn is_uri(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_escape = |at: usize| {
        bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    let is_usable = |(at, c): (usize, char)| match c {
        '%' => is_escape(at),
        '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => false,
        _ => c > ' ' && !c.is_control() && !c.is_whitespace(),
    };
    if !text.char_indices().all(is_usable) || text.matches('#').count() > 1 {
        return false;
    }
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    match text.split_at(end).0.split_once(':') {
        None => true,
        Some((scheme, rest)) => {
            let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(is_scheme)
                && !(rest.is_empty() && text.len() == end)
        }
    }
}

fn is_base64(text: &str) -> bool {
    let data = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.len().is_multiple_of(4) && data.bytes().all(usable)
}

fn is_json_pointer(text: &str) -> bool {
    let escaped = |token: &str| {
        token.split('~').skip(1).all(|rest| rest.starts_with('0') || rest.starts_with('1'))
    };
    text.is_empty() || text.starts_with('/') && escaped(text)
}

fn is_mac(text: &str) -> bool {
    let is_pair =
        |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.split(':').count() == 6 && text.split(':').all(is_pair)
}

/// Five hexadecimal numbers between hyphens. Like Java's, it does not count digits.
fn is_uuid(text: &str) -> bool {
    let is_number = |part: &str| {
        (1..=16).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    text.split('-').count() == 5 && text.split('-').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn formats_take_what_is_theirs() {
        let cases = [
            ("date-time", "2026-02-28T23:59:59Z", true),
            ("date-time", "2026-02-28T23:59:59.123456789012+01:00", true),
            ("date-time", "2024-02-29T00:00:00-0330", true),
            ("date-time", "2026-02-29T00:00:00Z", false),
            ("date-time", "2026-13-01T00:00:00Z", false),
            ("date-time", "2026-00-01T00:00:00Z", false),
            ("date-time", "2026-01-01T24:00:00Z", false),
            ("date-time", "2026-01-01T00:00:00", false),
            ("date-time", "2026-01-01T00:00:00.Z", false),
            ("date-time", "2026-01-01 00:00:00Z", false),
            ("date-time", "2026-01-01", false),
            ("date-time", "é", false),
            ("email", "a@b", true),
            ("email", "first.last+tag@example.com", true),
            ("email", "\"a b\"@example.com", true),
            ("email", "a@[127.0.0.1]", true),
            ("email", "a", false),
            ("email", "@b", false),
            ("email", "a@", false),
            ("email", "a b@c", false),
            ("email", "a..b@c", false),
            ("email", "a@b@c", false),
            ("hostname", "example.com", true),
            ("hostname", "localhost", true),
            ("hostname", "-a.com", false),
            ("hostname", "a..b", false),
            ("hostname", "a b", false),
            ("hostname", "127.0.0.1", false),
            ("ipv4", "127.0.0.1", true),
            ("ipv4", "127.0.0.256", false),
            ("ipv4", "127.0.0", false),
            ("ipv6", "::1", true),
            ("ipv6", "::ffff:1.2.3.4", true),
            ("ipv6", "127.0.0.1", false),
            ("regex", "^a$", true),
            ("regex", "(a", false),
            ("uri", "https://example.com/a?b=c#d", true),
            ("uri", "a/b", true),
            ("uri", "", true),
            ("uri", "urn:isbn:1", true),
            ("uri", "https://example.com/%zz", false),
            ("uri", "a b", false),
            ("uri", "a#b#c", false),
            ("uri", "1:2", false),
            ("uri", "http:", false),
            ("base64", "YWI=", true),
            ("base64", "YWI", false),
            ("base64", "YW*=", false),
            ("json-pointer", "/a~0b/~1", true),
            ("json-pointer", "a", false),
            ("json-pointer", "/~2", false),
            ("mac", "00:11:22:33:44:55", true),
            ("mac", "00:11:22:33:44", false),
            ("md5", "d41d8cd98f00b204e9800998ecf8427e", true),
            ("md5", "d41d8cd98f00b204e9800998ecf8427", false),
            ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd8070z", false),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", true),
            ("uuid", "123e4567", false),
        ];
        for (name, text, expected) in cases {
            let format = Format::named(name).expect(name);
            assert_eq!(format.matches(text), expected, "{name}: {text}");
            let message = format.message(text, text);
            assert!(message.contains(text) || !message.contains('"'), "{message}");
        }
        assert_eq!(Format::named("date"), None);
    }
}
