//! A client of the management API that signs its requests as AWS's SDKs do.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tollgate_auth::sigv4::{AmzDate, Headers, PayloadHash, RequestParts, Scope, SecretKey, Signer};

use crate::{Http1, Request, Response, TlsOptions, request};

/// Has a connection for each request. It retries nothing.
#[derive(Clone)]
pub struct ManagementClient {
    address: SocketAddr,
    tls: bool,
    signature: Option<Signature>,
}

/// Whose requests are sent, and what for.
#[derive(Clone)]
pub struct Signature {
    pub access_key_id: String,
    pub secret: String,
    pub region: String,
    /// How long ago requests were made.
    pub age: Duration,
}

impl Default for Signature {
    fn default() -> Self {
        Self {
            access_key_id: "AKIDEPLOYMENT0001".into(),
            secret: "a-secret-of-the-tests".into(),
            region: "us-east-1".into(),
            age: Duration::ZERO,
        }
    }
}

impl ManagementClient {
    /// Signs nothing, and speaks no TLS.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, tls: false, signature: None }
    }

    pub fn signed(mut self, signature: Signature) -> Self {
        self.signature = Some(signature);
        self
    }

    /// Speaks TLS, and trusts anyone.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The request as it is sent: with its host, date and signature.
    pub fn request(&self, method: &str, target: &str, body: impl Into<Vec<u8>>) -> Request {
        let request = request(method, target).host(&self.address.to_string()).body(body);
        match &self.signature {
            Some(signature) => signature.sign(request),
            None => request,
        }
    }

    /// Says what went wrong where there is no response.
    pub fn try_call(
        &self,
        method: &str,
        target: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Response, String> {
        let request = self.request(method, target, body);
        let mut connection = if self.tls {
            Http1::connect_tls(self.address, &TlsOptions::new())
        } else {
            Http1::try_connect(self.address).map_err(|error| error.to_string())?
        };
        connection.try_send(request.bytes()).map_err(|error| error.to_string())?;
        connection.try_response().map_err(|broken| format!("{broken:?}"))
    }

    #[track_caller]
    pub fn call(&self, method: &str, target: &str, body: impl Into<Vec<u8>>) -> Response {
        self.try_call(method, target, body)
            .unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Carries out an operation that succeeds. Gives its answer, null if it is empty.
    #[track_caller]
    pub fn done(&self, method: &str, target: &str, body: impl Into<Vec<u8>>) -> Value {
        let response = self.call(method, target, body);
        assert!(response.status < 300, "{method} {target}: {:?}", response.summary());
        response.json()
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Value {
        self.done("GET", target, "")
    }

    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Value {
        self.done("POST", target, body.to_string())
    }

    #[track_caller]
    pub fn put(&self, target: &str, body: &Value) -> Value {
        self.done("PUT", target, body.to_string())
    }

    /// A PATCH with these operations.
    #[track_caller]
    pub fn patch(&self, target: &str, operations: &Value) -> Value {
        let body = serde_json::json!({ "patchOperations": operations });
        self.done("PATCH", target, body.to_string())
    }

    #[track_caller]
    pub fn delete(&self, target: &str) {
        self.done("DELETE", target, "");
    }

    /// A new API from a definition. Gives its id.
    #[track_caller]
    pub fn import(&self, definition: impl Into<String>) -> String {
        let api = self.done("POST", "/restapis?mode=import", definition.into());
        api["id"].as_str().expect("an API has an id").to_owned()
    }

    /// A new deployment of stage `prod`, with these settings. Gives its id.
    #[track_caller]
    pub fn deploy(&self, api_id: &str, settings: &Value) -> String {
        let mut body = settings.clone();
        body["stageName"] = "prod".into();
        let deployment = self.post(&format!("/restapis/{api_id}/deployments"), &body);
        deployment["id"].as_str().expect("a deployment has an id").to_owned()
    }
}

impl Signature {
    fn sign(&self, request: Request) -> Request {
        let time = SystemTime::now() - self.age;
        let request = request
            .header("Content-Type", "application/json")
            .header("X-Amz-Date", AmzDate::new(time).text());
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let parts =
            RequestParts { method: &request.method, path, query, headers: &Fields(&request) };
        let secret = SecretKey::new(&self.secret);
        let signer = Signer {
            access_key_id: &self.access_key_id,
            secret: &secret,
            scope: Scope { region: &self.region, service: "apigateway" },
        };
        let names = ["host", "content-type", "x-amz-date"];
        let authorization =
            signer.authorization(&parts, &names, PayloadHash::of(&request.body), time);
        request.header("Authorization", &authorization)
    }
}

struct Fields<'a>(&'a Request);

impl Headers for Fields<'_> {
    fn value(&self, name: &str, at: usize) -> Option<&[u8]> {
        let host = ("Host", &self.0.host);
        let headers = self.0.headers.iter().map(|(name, value)| (name.as_str(), value));
        let mut values = headers.chain([host]).filter(|(it, _)| it.eq_ignore_ascii_case(name));
        values.nth(at).map(|(_, value)| value.as_bytes())
    }
}
