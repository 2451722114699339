//! The scalar values of the configuration file: sizes, durations, counts and addresses, each
//! with what it says when a value is not one.
//!
//! Every function takes the text as the user wrote it and gives the value, or the rest of the
//! sentence `KEY: …`: what is wrong and what is allowed.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Reads a size: bytes as a number, or a number with a unit.
pub fn size(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let allowed = format!(
        "allowed: a number of bytes, or a number with B, KB, KiB, MB, MiB, GB or GiB, from {} to {}",
        in_words_size(*range.start()),
        in_words_size(*range.end())
    );
    let (digits, unit) = split_unit(text);
    let factor = match unit {
        "" | "B" => 1,
        "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(format!("{text:?} is not a size; {allowed}")),
    };
    let Ok(number) = digits.parse::<u64>() else {
        return Err(format!("{text:?} is not a size; {allowed}"));
    };
    number
        .checked_mul(factor)
        .filter(|bytes| range.contains(bytes))
        .ok_or_else(|| format!("{text:?} is out of range; {allowed}"))
}

/// Reads a duration: a number with a unit. A bare number is refused, since it does not say
/// whether it means seconds or milliseconds.
pub fn duration(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let allowed = format!(
        "allowed: a number with ms, s, m or h, from {} to {}",
        in_words_duration(*range.start()),
        in_words_duration(*range.end())
    );
    let (digits, unit) = split_unit(text);
    let Ok(number) = digits.parse::<u64>() else {
        return Err(format!("{text:?} is not a duration; {allowed}"));
    };
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "" => return Err(format!("{text:?} has no unit; {allowed}")),
        _ => return Err(format!("{text:?} is not a duration; {allowed}")),
    };
    milliseconds
        .map(Duration::from_millis)
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| format!("{text:?} is out of range; {allowed}"))
}

/// Reads a whole number.
pub fn count(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let allowed = format!("allowed: a whole number from {} to {}", range.start(), range.end());
    match text.parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) => Err(format!("{text:?} is out of range; {allowed}")),
        Err(_) => Err(format!("{text:?} is not a whole number; {allowed}")),
    }
}

/// Reads `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is not allowed; allowed: true or false")),
    }
}

/// Reads the address of a listener.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "{text:?} is not an address to listen on; allowed: IP:PORT, such as 127.0.0.1:8080, \
             0.0.0.0:443 or [::]:443 (port 0 takes a free one)"
        )
    })
}

/// Reads the address of an upstream: a name or an IP address, and a port.
pub fn upstream_address(text: &str) -> Result<String, String> {
    let refused = || {
        format!(
            "{text:?} is not an upstream address; allowed: HOST:PORT, such as 10.0.0.7:8080 or [fd00::7]:8080"
        )
    };
    if text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return Ok(text.to_owned());
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
    let host_is_valid = !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    match port.parse::<u16>() {
        Ok(1..) if host_is_valid => Ok(text.to_owned()),
        _ => Err(refused()),
    }
}

/// Reads a 12-digit AWS account id.
pub fn account_id(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not an account id; allowed: 12 digits (in YAML, in quotes)"))
    }
}

/// Reads a region: a name that can stand in a host name.
pub fn region(text: &str) -> Result<String, String> {
    if is_host_label(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a region; allowed: a-z, 0-9 and -, such as us-east-1"))
    }
}

/// Reads an API's id.
pub fn api_id(text: &str) -> Result<String, String> {
    if text.len() == 10
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not an API id; allowed: 10 characters of a-z and 0-9"))
    }
}

/// Reads a stage's name. AWS: up to 128 characters.
pub fn stage_name(text: &str) -> Result<String, String> {
    let valid = (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a stage name; allowed: 1 to 128 of a-z, A-Z, 0-9, _ and -"))
    }
}

/// Checks a stage variable. AWS: names of up to 64, values of up to 512 characters.
pub fn stage_variable(name: &str, value: &str) -> Result<(), String> {
    let name_is_valid = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !name_is_valid {
        return Err(format!(
            "{name:?} is not the name of a stage variable; allowed: 1 to 64 of a-z, A-Z, 0-9 and _"
        ));
    }
    let value_is_valid = value.len() <= 512
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&byte));
    if !value_is_valid {
        return Err(format!(
            "{value:?} is not the value of a stage variable; allowed: up to 512 of a-z, A-Z, 0-9 and -._~:/?#&=,"
        ));
    }
    Ok(())
}

/// Reads a domain name: `api.example.com`, or `*.example.com` for every name one level below.
pub fn domain_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let plain = name.strip_prefix("*.").unwrap_or(&name);
    if plain.len() <= 253 && plain.split('.').all(is_host_label) {
        Ok(name)
    } else {
        Err(format!(
            "{text:?} is not a domain name; allowed: a name such as api.example.com or *.example.com"
        ))
    }
}

fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn in_words_size(bytes: u64) -> String {
    for (factor, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

fn in_words_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (factor, unit) in [(3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if milliseconds >= factor && milliseconds.is_multiple_of(factor) {
            return format!("{}{unit}", milliseconds / factor);
        }
    }
    format!("{milliseconds}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_carry_a_unit() {
        for (text, bytes) in [
            ("1", 1),
            ("512", 512),
            ("10MiB", 10_485_760),
            ("10 MiB", 10_485_760),
            ("2KB", 2000),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text, 1..=1 << 30), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "10 elephants", "0", "2GiB", "99999999999999999999"]
        {
            assert!(size(text, 1..=1 << 30).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_carry_a_unit() {
        let range = Duration::from_millis(1)..=Duration::from_secs(3600);
        for (text, milliseconds) in
            [("30s", 30_000), ("500ms", 500), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(
                duration(text, range.clone()),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        assert_eq!(
            duration("30", range.clone()).unwrap_err(),
            "\"30\" has no unit; allowed: a number with ms, s, m or h, from 1ms to 1h"
        );
        for text in ["", "s", "1.5s", "-1s", "2h", "0s", "1 fortnight"] {
            assert!(duration(text, range.clone()).is_err(), "{text}");
        }
    }

    #[test]
    fn upstream_addresses_name_a_host_and_a_port() {
        for text in ["10.0.0.7:8080", "[fd00::7]:8080", "pets.internal:80", "localhost:1"] {
            assert_eq!(upstream_address(text).as_deref(), Ok(text));
        }
        for text in
            ["10.0.0.7", "pets.internal", ":80", "pets:0", "pets:70000", "a b:80", "http://pets:80"]
        {
            assert!(upstream_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_follow_awss_rules() {
        assert!(domain_name("Api.Example.com").is_ok_and(|name| name == "api.example.com"));
        assert!(domain_name("*.example.com").is_ok());
        assert!(domain_name("a.*.com").is_err());
        assert!(stage_name("prod_2-a").is_ok());
        assert!(stage_name("prod/2").is_err());
        assert!(api_id("petstore01").is_ok());
        assert!(api_id("PetStore01").is_err());
        assert!(account_id("123456789012").is_ok());
        assert!(account_id("123").is_err());
        assert!(stage_variable("url", "http://x:80/a?b=c,d").is_ok());
        assert!(stage_variable("url", "a b").is_err());
        assert!(stage_variable("u-l", "a").is_err());
    }
}
