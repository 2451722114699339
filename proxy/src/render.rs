//! `tollgate render`: what a mapping template makes of a payload, without a gateway.
//!
//! The output is the template's, byte for byte. Whatever a request would bring besides its
//! payload comes from the context file, which [`surroundings`] reads.

mod surroundings;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{anyhow, ensure};
use clap::error::ErrorKind;
use clap::{Args, Command};
use serde_json::{Map, Value};
use surroundings::Surroundings;
use tollgate_template::{ContextWrites, MAX_TEMPLATE_BYTES, ParameterLocation, Template};

use crate::cli::RenderArgs;
use crate::definitions::reason;

/// Largest input and context file, in bytes: API Gateway's payload quota, 10 MB
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>).
const MAX_INPUT_BYTES: usize = 10 * 1024 * 1024;

pub fn render(args: &RenderArgs) -> anyhow::Result<ExitCode> {
    let files = [Some(&args.template), Some(&args.input), args.context.as_ref()];
    if files.into_iter().flatten().filter(|file| is_standard_input(file)).count() > 1 {
        let message = "standard input (-) can be read once; allowed: one file named -";
        let mut command = RenderArgs::augment_args(Command::new("tollgate render"));
        command.error(ErrorKind::ArgumentConflict, message).exit();
    }
    let template = read_template(&args.template)?;
    let payload = read(&args.input, MAX_INPUT_BYTES)?;
    let surroundings = match &args.context {
        Some(file) => {
            let json = read(file, MAX_INPUT_BYTES)?;
            Surroundings::read(&json).map_err(|problem| anyhow!("{}{problem}", name(file)))?
        }
        None => Surroundings::default(),
    };
    // As the gateway does with a payload that isn't UTF-8.
    let payload = String::from_utf8_lossy(&payload);
    let mut writes = ContextWrites::default();
    let text =
        template.render(&surroundings.with_payload(&payload), &mut writes).map_err(|it| {
            anyhow!("{}:{}:{}: {}", name(&args.template), it.line, it.column, it.message)
        })?;
    if args.overrides {
        eprintln!("{}", overrides(&writes));
    }
    crate::print(&text)
}

fn read_template(file: &Path) -> anyhow::Result<Template> {
    let bytes = read(file, MAX_TEMPLATE_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let (line, column) = position(&bytes[..error.valid_up_to()]);
        anyhow!("{}:{line}:{column}: not valid UTF-8; allowed: UTF-8 text", name(file))
    })?;
    Ok(Template::parse(text))
}

/// Where a text that starts with these bytes goes on: line and column, starting with 1.
fn position(before: &[u8]) -> (usize, usize) {
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

fn read(file: &Path, maximum: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more tells a file that is too large, without reading all of it.
    let limit = maximum as u64 + 1;
    let outcome = if is_standard_input(file) {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| anyhow!("{}: cannot be read: {}", name(file), reason(&error)))?;
    ensure!(
        bytes.len() <= maximum,
        "{}: more than {maximum} bytes long; allowed: up to {maximum}",
        name(file)
    );
    Ok(bytes)
}

fn is_standard_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn name(file: &Path) -> String {
    if is_standard_input(file) { "standard input".to_owned() } else { file.display().to_string() }
}

/// What the gateway would override, below the names templates set it by.
fn overrides(writes: &ContextWrites) -> Value {
    let mut request = Map::new();
    for (key, location) in [
        ("path", ParameterLocation::Path),
        ("querystring", ParameterLocation::Querystring),
        ("header", ParameterLocation::Header),
    ] {
        insert_unless_empty(&mut request, key, object(writes.request_overrides(location)));
    }
    let mut response = Map::new();
    if let Some(status) = writes.response_status() {
        response.insert("status".to_owned(), status.into());
    }
    insert_unless_empty(&mut response, "header", object(writes.response_headers()));
    let mut all = Map::new();
    insert_unless_empty(&mut all, "requestOverride", request);
    insert_unless_empty(&mut all, "responseOverride", response);
    Value::Object(all)
}

fn object<'w>(entries: impl Iterator<Item = (&'w str, Cow<'w, str>)>) -> Map<String, Value> {
    entries.map(|(name, value)| (name.to_owned(), value.into_owned().into())).collect()
}

fn insert_unless_empty(into: &mut Map<String, Value>, key: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        into.insert(key.to_owned(), Value::Object(object));
    }
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn a_position_counts_lines_and_characters() {
        for (before, expected) in
            [(&b""[..], (1, 1)), (b"ab", (1, 3)), ("a\nä".as_bytes(), (2, 2)), (b"a\r\n\n", (3, 1))]
        {
            assert_eq!(position(before), expected, "{before:?}");
        }
    }
}
