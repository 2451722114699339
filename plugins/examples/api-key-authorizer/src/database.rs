//! The database file.

use serde::Deserialize;
use tollgate_plugin_sdk::ContextValue;

pub type KeyDigest = [u8; 32];

pub struct Database {
    pub header: String,
    /// Sorted by digest.
    keys: Vec<(KeyDigest, Key)>,
}

pub struct Key {
    pub principal: String,
    pub usage_identifier_key: Option<String>,
    pub context: Vec<(String, ContextValue)>,
    /// Seconds since 1970.
    pub expires: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default = "default_header")]
    header: String,
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    sha256: String,
    principal: String,
    usage_identifier_key: Option<String>,
    #[serde(default)]
    context: serde_json::Map<String, serde_json::Value>,
    expires: Option<u64>,
}

fn default_header() -> String {
    "x-api-key".to_owned()
}

impl Database {
    /// Reads JSON if the text begins with `{`, else lines. One entry that can't be read refuses
    /// the whole file: a key that silently isn't there is worse than a file that isn't in use yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let (header, mut keys) = if text.starts_with('{') {
            from_json(text)?
        } else {
            (default_header(), from_lines(text)?)
        };
        if keys.is_empty() {
            return Err("it has no keys".to_owned());
        }
        keys.sort_unstable_by(|(one, _), (other, _)| {
            // Nearly always different, and compared without a call.
            beginning(one).cmp(&beginning(other)).then_with(|| one.cmp(other))
        });
        if keys.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("a digest is there twice".to_owned());
        }
        Ok(Self { header, keys })
    }

    /// Those whose digests begin alike are compared in constant time, so that timing doesn't tell
    /// more of a digest than its first four bytes, from which no key follows.
    pub fn find(&self, digest: &KeyDigest) -> Option<&Key> {
        let prefix = &digest[..4];
        let start = self.keys.partition_point(|(it, _)| &it[..4] < prefix);
        let alike = self.keys[start..].iter().take_while(|(it, _)| &it[..4] == prefix);
        alike.fold(None, |found, (it, key)| if equal(it, digest) { Some(key) } else { found })
    }
}

fn beginning(digest: &KeyDigest) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn equal(left: &KeyDigest, right: &KeyDigest) -> bool {
    let difference = left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

fn from_json(text: &str) -> Result<(String, Vec<(KeyDigest, Key)>), String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let keys = file.keys.into_iter().map(|entry| {
        let context = entry.context.into_iter().map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => ContextValue::Text(text),
                serde_json::Value::Bool(boolean) => ContextValue::Boolean(boolean),
                serde_json::Value::Number(number) => {
                    ContextValue::Number(number.as_f64().unwrap_or_default())
                }
                _ => return Err(format!("context {name}: allowed are text, numbers and booleans")),
            };
            Ok((name, value))
        });
        let key = Key {
            principal: entry.principal,
            usage_identifier_key: entry.usage_identifier_key,
            context: context.collect::<Result<_, _>>()?,
            expires: entry.expires,
        };
        Ok((digest(&entry.sha256)?, key))
    });
    Ok((file.header, keys.collect::<Result<_, String>>()?))
}

fn from_lines(text: &str) -> Result<Vec<(KeyDigest, Key)>, String> {
    let mut keys = Vec::with_capacity(text.len() / DIGITS);
    let (mut rest, mut number) = (text, 0);
    while !rest.is_empty() {
        number += 1;
        // Most lines begin with a digest, in which neither a comma nor the line's end is looked
        // for.
        let digest = rest.as_bytes().first_chunk().and_then(read_digest);
        let known = if digest.is_some() { DIGITS } else { 0 };
        let end = rest.as_bytes()[known..].iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => (&rest[..known + end], &rest[known + end + 1..]),
            None => (rest, ""),
        };
        rest = after;
        if known == 0 && (line.trim().is_empty() || line.starts_with('#')) {
            continue;
        }
        let key = match digest.zip(line[known..].strip_prefix(',')) {
            Some((digest, columns)) => key(columns).map(|key| (digest, key)),
            None => from_line(line),
        };
        keys.push(key.map_err(|problem| format!("line {number}: {problem}"))?);
    }
    Ok(keys)
}

fn from_line(line: &str) -> Result<(KeyDigest, Key), String> {
    let (first, columns) = line.split_once(',').unzip();
    let digest = digest(first.unwrap_or(line).trim())?;
    Ok((digest, key(columns.ok_or(NO_PRINCIPAL)?)?))
}

const NO_PRINCIPAL: &str = "a digest and a principal are wanted";

/// What is in the columns after the digest's.
fn key(columns: &str) -> Result<Key, String> {
    let mut columns = columns.split(',').map(str::trim);
    let principal = columns.next().ok_or(NO_PRINCIPAL)?.to_owned();
    let usage_identifier_key =
        columns.next().filter(|column| !column.is_empty()).map(ToOwned::to_owned);
    let context = columns.map(|column| {
        let pair =
            column.split_once('=').ok_or_else(|| format!("{column}: name=value is wanted"))?;
        Ok((pair.0.to_owned(), ContextValue::from(pair.1)))
    });
    let context = context.collect::<Result<_, String>>()?;
    Ok(Key { principal, usage_identifier_key, context, expires: None })
}

/// Of a SHA-256 in hexadecimal.
const DIGITS: usize = 64;

fn digest(hex: &str) -> Result<KeyDigest, String> {
    let digits = hex.as_bytes().try_into().ok();
    digits
        .and_then(read_digest)
        .ok_or_else(|| format!("{hex}: a SHA-256 in 64 hexadecimal digits is wanted"))
}

/// Without branches, so that the compiler does sixteen digits at once: each new instance reads
/// all digests.
fn read_digest(hex: &[u8; DIGITS]) -> Option<KeyDigest> {
    let mut values = [0; DIGITS];
    for (value, digit) in values.iter_mut().zip(hex) {
        let (number, letter) = (digit.wrapping_sub(b'0'), (digit | 0x20).wrapping_sub(b'a'));
        let letter = if letter < 6 { letter + 10 } else { NO_DIGIT };
        *value = if number < 10 { number } else { letter };
    }
    let all = values.iter().fold(0, |all, value| all | value);
    let (pairs, _) = values.as_chunks();
    let mut digest = KeyDigest::default();
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = high << 4 | low;
    }
    (all & NO_DIGIT == 0).then_some(digest)
}

/// More than any digit's value.
const NO_DIGIT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let zeros = "0".repeat(64);
        let table = [
            ("", "it has no keys"),
            ("abc,alice", "line 1: abc: a SHA-256 in 64 hexadecimal digits is wanted"),
            (
                &format!("{}+f,alice", &zeros[..62]),
                &format!(
                    "line 1: {}+f: a SHA-256 in 64 hexadecimal digits is wanted",
                    &zeros[..62]
                ),
            ),
            (&format!("# x\n{zeros}"), "line 2: a digest and a principal are wanted"),
            (&format!("{zeros},a\n{zeros},b"), "a digest is there twice"),
            (&format!("{zeros},a,,tier"), "line 1: tier: name=value is wanted"),
            (
                &format!("{zeros}0,a"),
                &format!("line 1: {zeros}0: a SHA-256 in 64 hexadecimal digits is wanted"),
            ),
            (r#"{"keys": []}"#, "it has no keys"),
        ];
        for (text, expected) in table {
            assert_eq!(Database::parse(text.as_bytes()).err().as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn space_around_columns_and_lines_that_say_nothing_are_left_out() {
        let (a, b) = ("A1".repeat(32), "b2".repeat(32));
        let text = format!("# keys\r\n \n{a} , alice ,\r\n\n  {b},bob, k ,x = y\n");
        let database = Database::parse(text.as_bytes()).unwrap();
        let alice = database.find(&[0xa1; 32]).unwrap();
        assert_eq!((alice.principal.as_str(), &alice.usage_identifier_key), ("alice", &None));
        let bob = database.find(&[0xb2; 32]).unwrap();
        assert_eq!(
            (bob.principal.as_str(), bob.usage_identifier_key.as_deref()),
            ("bob", Some("k"))
        );
        assert_eq!(bob.context, [("x ".to_owned(), ContextValue::from(" y"))]);
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let (a, b) = (format!("{}{}", "0".repeat(63), 1), format!("{}{}", "0".repeat(63), 2));
        let database = Database::parse(format!("{a},a\n{b},b").as_bytes()).unwrap();
        assert_eq!(database.find(&digest(&a).unwrap()).unwrap().principal, "a");
        assert_eq!(database.find(&digest(&b).unwrap()).unwrap().principal, "b");
        assert!(database.find(&KeyDigest::default()).is_none());
    }
}
