//! The control socket: usage of plans for who may open a Unix socket on this machine, in the
//! paths and shapes of AWS's management API.
//!
//! | Request | AWS |
//! |---|---|
//! | `GET /usageplans/{id}/usage?startDate=&endDate=[&keyId=][&limit=][&position=]` | GetUsage |
//! | `PATCH /usageplans/{id}/keys/{keyId}/usage`, replace `/remaining` | UpdateUsage |
//!
//! The socket has mode 0600: file permissions say who may ask. HTTP/1.1, one request each.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tollgate_throttle::{Day, Quota};

use super::id::{Id, UsagePlanId};
use super::registry::Registry;
use super::report::{DEFAULT_PAGE, MAX_PAGE, ReportError, UsageQuery, UsageReport};
use crate::head::{Framing, RequestHead};
use crate::management::read_head;

/// A whole exchange.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAXIMUM_BODY: u64 = 64 * 1024;
const MAXIMUM_CONNECTIONS: usize = 16;

/// Listens on a Unix socket. What lies at its path, left by a process before or of one that this
/// one replaces, gives way to it.
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

struct Answer {
    status: &'static str,
    error_type: Option<&'static str>,
    body: Value,
}

impl ControlSocket {
    pub fn bind(path: &Path) -> io::Result<Self> {
        // Made beside its place, so that nobody meets one that others may open.
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let _ = std::fs::remove_file(&new);
        let listener = std::os::unix::net::UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&new, path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers until it is dropped.
    pub async fn serve(self, registry: Arc<Registry>) {
        let listener = match UnixListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot serve the control socket"),
        };
        let connections = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let registry = registry.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(TIMEOUT, exchange(registry, stream)).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "control socket: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn exchange(registry: Arc<Registry>, mut stream: UnixStream) -> io::Result<()> {
    let Some((head, mut body)) = read_head(&mut stream).await? else { return Ok(()) };
    let answer = match head.framing {
        Framing::None => Ok(()),
        Framing::Length(length) if length <= MAXIMUM_BODY => {
            let missing = length.saturating_sub(body.len() as u64);
            (&mut stream).take(missing).read_to_end(&mut body).await?;
            Ok(())
        }
        _ => Err(Answer::bad_request(format!(
            "the body has to have a length of up to {MAXIMUM_BODY} bytes"
        ))),
    };
    // The ledger is a file.
    let answer = match answer {
        Ok(()) => tokio::task::spawn_blocking(move || answer_to(&registry, &head, &body)).await?,
        Err(answer) => answer,
    };
    let body = answer.body.to_string();
    let error_type = match answer.error_type {
        Some(error_type) => format!("x-amzn-ErrorType: {error_type}\r\n"),
        None => String::new(),
    };
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\n{error_type}Content-Length: {}\r\n\
         Connection: close\r\n\r\n",
        answer.status,
        body.len(),
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn answer_to(registry: &Registry, head: &RequestHead, body: &[u8]) -> Answer {
    let path = std::str::from_utf8(head.path()).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (head.method(), &*segments) {
        (b"GET", ["usageplans", plan, "usage"]) => usage(registry, plan, head),
        (b"PATCH", ["usageplans", plan, "keys", key, "usage"]) => {
            update_usage(registry, plan, key, body)
        }
        _ => Err(Answer::not_found(
            "here are GET /usageplans/{id}/usage and PATCH /usageplans/{id}/keys/{keyId}/usage",
        )),
    }
    .unwrap_or_else(|answer| answer)
}

fn usage(registry: &Registry, plan: &str, head: &RequestHead) -> Result<Answer, Answer> {
    let plan = Id::parse(plan).ok_or(ReportError::UnknownPlan)?;
    let query = std::str::from_utf8(head.query().unwrap_or_default()).unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    let date = |name: &str| {
        let text = parameter(name).unwrap_or_default();
        Day::parse(text).ok_or_else(|| {
            Answer::bad_request(format!("Invalid {name}: {text:?}; allowed: YYYY-MM-DD"))
        })
    };
    let key = |name: &str| match parameter(name) {
        Some(text) => Id::parse(text).map(Some).ok_or(ReportError::UnknownKey),
        None => Ok(None),
    };
    let limit = match parameter("limit") {
        None => DEFAULT_PAGE,
        Some(text) => {
            text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(|| {
                Answer::bad_request(format!("Invalid limit: allowed: 1 to {MAX_PAGE}"))
            })?
        }
    };
    let query = UsageQuery {
        plan,
        from: date("startDate")?,
        to: date("endDate")?,
        key: key("keyId")?,
        position: key("position")?,
        limit,
    };
    let report = registry.usage(query)?;
    Ok(Answer::ok(in_json(plan, query.from, query.to, &report)))
}

fn update_usage(registry: &Registry, plan: &str, key: &str, body: &[u8]) -> Result<Answer, Answer> {
    let plan = Id::parse(plan).ok_or(ReportError::UnknownPlan)?;
    let key = Id::parse(key).ok_or(ReportError::UnknownKey)?;
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Answer::bad_request(format!("the body is not JSON: {error}")))?;
    let operations = body["patchOperations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [operation] = operations else {
        return Err(Answer::bad_request("allowed: one patch operation".to_owned()));
    };
    if operation["op"] != "replace" || operation["path"] != "/remaining" {
        let message = "Invalid patch path, allowed: op replace, path /remaining";
        return Err(Answer::bad_request(message.to_owned()));
    }
    let remaining = operation["value"].as_str().and_then(|value| value.parse().ok());
    let remaining = remaining.filter(|it| *it <= Quota::MAX_LIMIT).ok_or(ReportError::Remaining)?;
    let report = registry.grant(plan, key, remaining)?;
    let today = super::registry::today();
    Ok(Answer::ok(in_json(plan, today, today, &report)))
}

/// AWS's Usage; what has no quota has -1 left.
fn in_json(plan: UsagePlanId, from: Day, to: Day, report: &UsageReport) -> Value {
    let keys = report.keys.iter().map(|(key, days)| {
        let days = days.iter().map(|day| {
            let remaining = day.remaining.map_or(json!(-1), |left| json!(left));
            json!([day.used, remaining])
        });
        (key.to_string(), days.collect())
    });
    let mut usage = json!({
        "usagePlanId": plan.to_string(),
        "startDate": date_text(from),
        "endDate": date_text(to),
        "values": keys.collect::<Map<String, Value>>(),
    });
    if let Some(position) = report.position {
        usage["position"] = position.to_string().into();
    }
    usage
}

fn date_text(day: Day) -> String {
    let (year, month, day) = day.date();
    format!("{year:04}-{month:02}-{day:02}")
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: "200 OK", error_type: None, body }
    }

    fn not_found(message: &str) -> Self {
        Self {
            status: "404 Not Found",
            error_type: Some("NotFoundException"),
            body: json!({ "message": message }),
        }
    }

    fn bad_request(message: String) -> Self {
        Self {
            status: "400 Bad Request",
            error_type: Some("BadRequestException"),
            body: json!({ "message": message }),
        }
    }
}

impl From<ReportError> for Answer {
    fn from(error: ReportError) -> Self {
        let message = error.to_string();
        match error {
            ReportError::UnknownPlan | ReportError::UnknownKey => Self::not_found(&message),
            ReportError::Ledger(error) => {
                tracing::error!(%error, "control socket: usage can't be read or changed");
                Self {
                    status: "500 Internal Server Error",
                    error_type: Some("InternalFailure"),
                    body: json!({ "message": message }),
                }
            }
            _ => Self::bad_request(message),
        }
    }
}
