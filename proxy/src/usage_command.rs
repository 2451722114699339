//! `tollgate usage`: asks a running gateway's control socket what API keys have used of a plan,
//! and grants them more. It speaks AWS's GetUsage and UpdateUsage, as
//! `tollgate_gateway::usage::control` does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use tollgate_gateway::usage::UsagePlanId;
use tollgate_throttle::Day;

use crate::cli::Output;
use crate::cli::usage::{ControlArgs, GrantArgs, ReportArgs, UsageArgs, UsageCommand};
use crate::config;

/// For the gateway's answer: it writes what it has counted before it reads.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Keys in one answer: AWS's maximum.
const PAGE: usize = 500;

pub fn usage(args: UsageArgs) -> anyhow::Result<ExitCode> {
    match (args.command, args.report.plan) {
        (Some(UsageCommand::Grant(args)), _) => grant(&args),
        (None, Some(plan)) => report(plan, &args.report),
        (None, None) => bail!("which usage plan? tollgate usage PLAN"),
    }
}

fn report(plan: UsagePlanId, args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let socket = socket(&args.control)?;
    let today = today();
    let (from, to) = (args.from.unwrap_or(args.to.unwrap_or(today)), args.to.unwrap_or(today));
    let key = args.key.map(|key| format!("&keyId={key}")).unwrap_or_default();
    let mut keys = Map::new();
    let mut position = String::new();
    loop {
        let target = format!(
            "/usageplans/{plan}/usage?startDate={}&endDate={}{key}&limit={PAGE}{position}",
            date(from),
            date(to)
        );
        let answer = call(&socket, "GET", &target, "")?;
        keys.extend(answer["values"].as_object().cloned().unwrap_or_default());
        match answer["position"].as_str() {
            Some(next) => position = format!("&position={next}"),
            None => break,
        }
    }
    print(args.output, plan, from, to, keys)
}

fn grant(args: &GrantArgs) -> anyhow::Result<ExitCode> {
    let GrantArgs { plan, key, remaining, .. } = args;
    let operation =
        json!({ "op": "replace", "path": "/remaining", "value": remaining.to_string() });
    let body = json!({ "patchOperations": [operation] }).to_string();
    let target = format!("/usageplans/{plan}/keys/{key}/usage");
    let answer = call(&socket(&args.control)?, "PATCH", &target, &body)?;
    let keys = answer["values"].as_object().cloned().unwrap_or_default();
    print(args.output, *plan, today(), today(), keys)
}

fn print(
    output: Output,
    plan: UsagePlanId,
    from: Day,
    to: Day,
    keys: Map<String, Value>,
) -> anyhow::Result<ExitCode> {
    if output == Output::Json {
        let usage = json!({
            "usagePlanId": plan.to_string(),
            "startDate": date(from),
            "endDate": date(to),
            "values": keys,
        });
        return crate::print(&format!("{usage:#}\n"));
    }
    let mut text = format!("{:<10}  {:<10}  {:>12}  {:>12}\n", "key", "day", "used", "remaining");
    for (key, days) in &keys {
        for (day, number) in days.as_array().into_iter().flatten().zip(from.0..) {
            let remaining = match day[1].as_i64() {
                Some(left @ 0..) => left.to_string(),
                _ => "no quota".to_owned(),
            };
            let used = day[0].as_u64().unwrap_or_default();
            let day = date(Day(number));
            text.push_str(&format!("{key:<10}  {day:<10}  {used:>12}  {remaining:>12}\n"));
        }
    }
    crate::print(&text)
}

/// The socket that is named, or that of a configuration.
fn socket(args: &ControlArgs) -> anyhow::Result<PathBuf> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let Some(file) = &args.config else {
        bail!("where is the gateway? --config FILE or --socket PATH says it");
    };
    let config = config::load(file)?;
    config.control_socket.with_context(|| {
        format!("{}: has neither data_directory nor control_socket", file.display())
    })
}

/// Sends one request. An answer other than 200 is an error with its message.
fn call(socket: &Path, method: &str, target: &str, body: &str) -> anyhow::Result<Value> {
    let answer = exchange(socket, method, target, body).with_context(|| {
        format!("{}: no gateway answers on its control socket", socket.display())
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let body: Value = serde_json::from_str(body)
        .with_context(|| format!("{}: the answer is not JSON", socket.display()))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        _ => bail!("{}", body["message"].as_str().unwrap_or("the gateway refuses")),
    }
}

fn exchange(socket: &Path, method: &str, target: &str, body: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn today() -> Day {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Day::of_seconds(time.as_secs())
}

fn date(day: Day) -> String {
    let (year, month, day) = day.date();
    format!("{year:04}-{month:02}-{day:02}")
}

/// Reads `2026-11-23`.
pub fn parse_date(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "allowed: a date as in 2026-11-23".to_owned())
}
