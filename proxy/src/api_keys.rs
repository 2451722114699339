//! API keys in files, and new ones. The format is [`tollgate_model::api_key_file`]'s: of two lines
//! with the same key the later counts.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use tollgate_gateway::usage::{ApiKey, UsagePlanId};
use tollgate_model::api_key_file::{Entries, Entry, Problem, quoted};

use crate::cli::usage::GenerateArgs;
use crate::config::usage::{generated_key_id, key_name, key_value, plan_id};
use crate::definitions::reason;

/// Characters of a value that AWS makes.
const GENERATED_LENGTH: usize = 40;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Reads the keys of a file.
pub fn read(file: &Path) -> anyhow::Result<Vec<ApiKey>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => bail!("{}: cannot be read: {}", file.display(), reason(&error)),
    };
    parse(&text).map_err(|Problem { line, message }| {
        anyhow::anyhow!("{}:{line}: {message}", file.display())
    })
}

fn parse(text: &str) -> Result<Vec<ApiKey>, Problem> {
    let mut keys: Vec<ApiKey> = Vec::new();
    let mut places: HashMap<Box<[u8]>, usize> = HashMap::new();
    for entry in Entries::new(text)? {
        let entry = entry?;
        let key = key_of(&entry).map_err(|message| Problem { line: entry.line, message })?;
        match places.get(key.value.as_bytes()) {
            Some(place) => keys[*place] = key,
            None => {
                places.insert(key.value.as_bytes().into(), keys.len());
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

fn key_of(entry: &Entry) -> Result<ApiKey, String> {
    let value = key_value(&entry.key)?;
    key_name(&entry.name)?;
    let plans = entry.usage_plan_ids.iter().map(|id| plan_id(id));
    let plans = plans.collect::<Result<_, String>>()?;
    Ok(ApiKey { id: generated_key_id(&value), value, enabled: entry.enabled, plans })
}

/// `tollgate api-key generate`.
pub fn generate(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let random = File::open("/dev/urandom").context("/dev/urandom")?;
    let mut random = std::io::BufReader::new(random);
    let plans: Vec<String> = args.usage_plans.iter().map(UsagePlanId::to_string).collect();
    let mut text = String::from("name,key,description,enabled,usageplanIds\n");
    for number in 1..=args.count {
        let name = match args.count {
            1 => args.name.clone(),
            _ => format!("{}-{number}", args.name),
        };
        let value = value(&mut random)?;
        let fields = [&*name, &value, "", "true", &plans.join(",")].map(quoted);
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    crate::print(&text)
}

/// 40 letters and digits: 238 bits of chance.
fn value(random: &mut impl Read) -> anyhow::Result<String> {
    let mut value = String::with_capacity(GENERATED_LENGTH);
    while value.len() < GENERATED_LENGTH {
        let mut byte = [0];
        random.read_exact(&mut byte).context("/dev/urandom")?;
        // 248 is the largest multiple of 62 in a byte: above, some letters would come more often.
        if byte[0] < 248 {
            value.push(char::from(LETTERS[usize::from(byte[0] % 62)]));
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, bool, Vec<String>)> {
        let keys = parse(text).unwrap();
        keys.iter()
            .map(|key| {
                let value = String::from_utf8_lossy(key.value.as_bytes()).into_owned();
                (value, key.enabled, key.plans.iter().map(ToString::to_string).collect())
            })
            .collect()
    }

    #[test]
    fn awss_examples_are_read() {
        let value = || "apikey1234abcdefghij0123456789".to_owned();
        assert_eq!(
            read("Key,name\napikey1234abcdefghij0123456789,MyFirstApiKey\n"),
            [(value(), true, vec![])]
        );
        assert_eq!(
            read(
                "Name,key,description,Enabled,usageplanIds\r\nMyFirstApiKey,apikey1234abcdefghij0123456789,An imported key,TRUE,c7y23b\r\n"
            ),
            [(value(), true, vec!["c7y23b".into()])]
        );
        for quote in ["\"", "'"] {
            let text = format!(
                "Enabled,Name,key,UsageplanIds\nfalse,MyFirstApiKey,apikey1234abcdefghij0123456789,{quote}c7y23b, glvrsr{quote}"
            );
            assert_eq!(read(&text), [(value(), false, vec!["c7y23b".into(), "glvrsr".into()])]);
        }
    }

    #[test]
    fn the_later_of_two_lines_with_one_key_counts() {
        let text = "key,name,enabled\nfirst-key-of-all-0000,a,true\nother-key-of-all-0000,b,\n\nfirst-key-of-all-0000,c,false\n";
        assert_eq!(
            read(text),
            [
                ("first-key-of-all-0000".into(), false, vec![]),
                ("other-key-of-all-0000".into(), true, vec![])
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_the_key() {
        for (text, line, problem) in [
            ("", 1, "is empty"),
            ("name,value\n", 1, "the heading has no column Key"),
            ("name,key\n\na,too-short\n", 3, "API Key value should be at least 20 characters"),
            ("name,key,enabled\na,long-enough-for-a-key,maybe\n", 2, "Enabled is \"maybe\""),
            ("name,key,usageplanids\na,long-enough-for-a-key,gold\n", 2, "\"gold\" is not the id"),
            ("name,key\n\"a,b\n", 2, "a quote that is opened here is never closed"),
        ] {
            let Problem { line: found, message } = parse(text).expect_err(text);
            assert!(found == line && message.starts_with(problem), "{found}: {message}");
            assert!(!message.contains("long-enough-for"), "{message}");
        }
    }

    #[test]
    fn a_generated_value_is_awss_length_and_no_two_are_the_same() {
        let mut random = File::open("/dev/urandom").unwrap();
        let (one, other) = (value(&mut random).unwrap(), value(&mut random).unwrap());
        assert!(key_value(&one).is_ok() && one.len() == 40 && one != other, "{one} {other}");
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
