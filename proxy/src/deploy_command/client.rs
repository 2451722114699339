//! A client of the management API: HTTP/1.1, signed, every wait with a deadline, every answer
//! bounded. One connection a call: a deployment is a handful of them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tollgate_auth::sigv4::{AmzDate, Headers, PayloadHash, RequestParts, Scope, Signer};

use super::endpoint::{Credentials, Endpoint};

/// For name, connection and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For a request and its answer: the management API gives itself a minute.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of an answer. The largest is an export, of a definition that is imported with up to 6 MB.
const MAXIMUM_ANSWER: usize = 32 * 1024 * 1024;
/// Characters of a message in an error that isn't the management API's.
const LONGEST_MESSAGE: usize = 4096;

/// One operation.
pub struct Call {
    /// As botocore's service model has it: `CreateRestApi`.
    pub operation: &'static str,
    pub method: Method,
    /// Path and query, percent-encoded.
    pub target: String,
    pub content_type: &'static str,
    pub body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// `Null` if it was empty.
    pub body: Value,
    /// What was accepted and won't work when it is served.
    pub warnings: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent.
    #[error("{url}: {problem}")]
    Unreachable { url: String, problem: String },
    #[error("{url}: {operation}: {problem}; whether it was carried out is not known")]
    Lost { url: String, operation: &'static str, problem: String },
    #[error("{operation}: {message} ({error_type})")]
    Refused { operation: &'static str, status: StatusCode, error_type: String, message: String },
}

impl CallError {
    /// Whether it is certain that nothing was changed.
    pub fn changed_nothing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Lost { .. } => false,
            Self::Refused { status, .. } => status.is_client_error(),
        }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }
}

/// Calls operations, one at a time.
pub struct Client {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Taken when the client is dropped.
    runtime: Option<Runtime>,
}

impl Client {
    pub fn new(endpoint: Endpoint) -> anyhow::Result<Self> {
        let tls = endpoint.tls.then(|| tls(&endpoint)).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { endpoint, tls, runtime: Some(runtime) })
    }

    pub fn call(&self, call: Call) -> Result<Answer, CallError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(self.exchange(call)),
            None => Err(self.unreachable("the client has ended")),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Answer, CallError> {
        let operation = call.operation;
        let request = self.request(call).map_err(|error| self.unreachable(&error.to_string()))?;
        let mut sender = match timeout(CONNECT_TIMEOUT, self.connect()).await {
            Ok(connected) => connected.map_err(|problem| self.unreachable(&problem))?,
            Err(_) => {
                let problem = format!("no connection within {} s", CONNECT_TIMEOUT.as_secs());
                return Err(self.unreachable(&problem));
            }
        };
        let answered = async {
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAXIMUM_ANSWER).collect().await?.to_bytes();
            Ok::<_, BoxedError>(Response::from_parts(head, body))
        };
        match timeout(REQUEST_TIMEOUT, answered).await {
            Ok(Ok(response)) => self.answer(operation, response),
            Ok(Err(error)) => Err(self.lost(operation, causes(&*error))),
            Err(_) => {
                let problem = format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
                Err(self.lost(operation, problem))
            }
        }
    }

    fn request(&self, call: Call) -> http::Result<Request<Full<Bytes>>> {
        let Endpoint { authority, path, region, credentials, .. } = &self.endpoint;
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{path}{}", call.target))
            .header(HOST, authority.as_str())
            .header(CONTENT_TYPE, call.content_type)
            .body(Full::new(call.body.clone()))?;
        if let Some(credentials) = credentials {
            sign(&mut request, &call.body, credentials, region)?;
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|error| format!("no connection: {}", crate::definitions::reason(&error)))?;
        // Small requests wait for nobody's acknowledgement.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                handshake(stream.map_err(|error| format!("TLS handshake failed: {error}"))?).await
            }
        }
    }

    fn answer(
        &self,
        operation: &'static str,
        response: Response<Bytes>,
    ) -> Result<Answer, CallError> {
        let (head, body) = response.into_parts();
        let parsed = match body.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_slice::<Value>(&body),
        };
        if head.status.is_success() {
            let body = parsed.map_err(|_| self.lost(operation, "the answer is not JSON".into()))?;
            let warnings = head.headers.get_all(WARNING).iter();
            let warnings =
                warnings.map(|text| printable(&String::from_utf8_lossy(text.as_bytes())));
            return Ok(Answer { body, warnings: warnings.collect() });
        }
        let error_type = head.headers.get(ERROR_TYPE).and_then(|name| name.to_str().ok());
        let body = parsed.unwrap_or_default();
        let message = body["message"].as_str().or(body["Message"].as_str());
        Err(match (error_type, message) {
            (Some(error_type), Some(message)) => CallError::Refused {
                operation,
                status: head.status,
                error_type: printable(error_type.split(':').next().unwrap_or_default()),
                message: printable(message),
            },
            // Not a management API, or something before it.
            _ => {
                let status = head.status;
                let problem = format!("the answer is {status}; is this a management API?");
                self.lost(operation, problem)
            }
        })
    }

    fn unreachable(&self, problem: &str) -> CallError {
        CallError::Unreachable { url: self.endpoint.url.clone(), problem: problem.to_owned() }
    }

    pub fn lost(&self, operation: &'static str, problem: String) -> CallError {
        CallError::Lost { url: self.endpoint.url.clone(), operation, problem }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A name that is still being looked up would be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

const ERROR_TYPE: &str = "x-amzn-errortype";
const WARNING: &str = "x-tollgate-warning";

async fn handshake<S>(stream: S) -> Result<http1::SendRequest<Full<Bytes>>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Ends when the sender is dropped. Its errors reach the request as well.
    tokio::spawn(connection);
    Ok(sender)
}

/// Adds date, session token and signature.
fn sign(
    request: &mut Request<Full<Bytes>>,
    body: &[u8],
    credentials: &Credentials,
    region: &str,
) -> http::Result<()> {
    let time = SystemTime::now();
    let mut names = vec!["host", "content-type", "x-amz-date"];
    let date = HeaderValue::try_from(AmzDate::new(time).text())?;
    request.headers_mut().insert("x-amz-date", date);
    if let Some(token) = &credentials.session_token {
        let mut token = HeaderValue::try_from(token)?;
        token.set_sensitive(true);
        request.headers_mut().insert("x-amz-security-token", token);
        names.push("x-amz-security-token");
    }
    let signer = Signer {
        access_key_id: &credentials.access_key_id,
        secret: &credentials.secret,
        scope: Scope { region, service: "apigateway" },
    };
    let parts = RequestParts {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: &Fields(request.headers()),
    };
    let authorization = signer.authorization(&parts, &names, PayloadHash::of(body), time);
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::try_from(authorization)?);
    Ok(())
}

struct Fields<'a>(&'a HeaderMap);

impl Headers for Fields<'_> {
    fn value(&self, name: &str, at: usize) -> Option<&[u8]> {
        self.0.get_all(name).iter().nth(at).map(HeaderValue::as_bytes)
    }
}

fn tls(endpoint: &Endpoint) -> anyhow::Result<(TlsConnector, ServerName<'static>)> {
    let roots = match &endpoint.ca_file {
        Some(file) => roots_of(file).with_context(|| format!("CA file {}", file.display()))?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                bail!("the system trusts no certificate; --ca-file names one to trust");
            }
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = endpoint.host().to_owned();
    let name = ServerName::try_from(host)
        .with_context(|| format!("{}: its host is no name", endpoint.url))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn roots_of(file: &Path) -> anyhow::Result<RootCertStore> {
    let text = std::fs::read(file)
        .map_err(|error| anyhow::Error::msg(crate::definitions::reason(&error)))
        .context("cannot be read")?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        bail!("has no certificate");
    }
    Ok(roots)
}

/// An error with all its causes, which hyper's doesn't tell.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What a server said, for a terminal.
fn printable(text: &str) -> String {
    let clean = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    clean.take(LONGEST_MESSAGE).collect()
}
