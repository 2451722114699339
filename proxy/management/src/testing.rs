//! What the operations' tests share: the API on a store in memory, called as a client calls it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use parking_lot::Mutex;
use serde_json::Value;
use tollgate_model::api::Api;
use tollgate_model::compile::{CompiledStage, StageSettings};
use tollgate_model::control_plane::Stage;
use tollgate_store::EmbeddedStore;

use crate::context::{
    AuthorizerResult, Context, DataPlane, Invocation, InvocationResult, Settings, UsageReport,
    UsageRequest,
};
use crate::error::ApiError;
use crate::http::{Handler, Request};
use crate::{Management, keys};

pub(crate) const ACCOUNT_ID: &str = "123456789012";

/// The API with an empty store.
pub(crate) struct Fixture {
    pub(crate) management: Management,
}

/// What a call was answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Null if the body is empty.
    pub(crate) body: Value,
    /// `x-amzn-ErrorType`; empty on success.
    pub(crate) error: String,
}

pub(crate) fn fixture() -> Fixture {
    let settings = Settings {
        region: "us-east-1".to_owned(),
        account_id: ACCOUNT_ID.to_owned(),
        host_suffix: "localhost".to_owned(),
        maximum_integration_timeout: Duration::from_secs(29),
        account_throttle: (10_000.0, 5_000),
        vpc_links: BTreeMap::from([("link12".to_owned(), vec!["127.0.0.1:80".to_owned()])]),
    };
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let context = Context::new(store, settings, Arc::new(Idle::default()));
    Fixture { management: Management { context } }
}

/// The body of a PATCH, with operations of no special form.
pub(crate) fn patches(patches: &[(&str, &str, &str)]) -> Value {
    let patch = |(op, path, value): &(_, _, _)| serde_json::json!({ "op": op, "path": path, "value": value });
    serde_json::json!({ "patchOperations": patches.iter().map(patch).collect::<Vec<_>>() })
}

/// The same with one operation.
pub(crate) fn patch(op: &str, path: &str, value: &str) -> Value {
    patches(&[(op, path, value)])
}

/// The same with one that replaces.
pub(crate) fn replace(path: &str, value: &str) -> Value {
    patch("replace", path, value)
}

impl Fixture {
    /// Sends a request: the URI with its query string, and the body, which is empty if it is null.
    pub(crate) fn call(&self, method: &str, uri: &str, body: Value) -> Answered {
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (uri, None),
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.management.call(Request {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            path: path.to_owned(),
            query,
            headers: HeaderMap::new(),
            body: body.into(),
        });
        let error = response.headers.iter().find(|(name, _)| name == "x-amzn-errortype");
        Answered {
            status: response.status,
            error: error.map_or("", |(_, value)| value.to_str().unwrap()).to_owned(),
            body: match response.body.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(&response.body).unwrap(),
            },
        }
    }

    /// The same, with the body of a success.
    #[track_caller]
    pub(crate) fn ok(&self, method: &str, uri: &str, body: Value) -> Value {
        let answered = self.call(method, uri, body);
        assert!((200..300).contains(&answered.status), "{method} {uri}: {answered:?}");
        answered.body
    }

    /// The same, of a refusal: `404 NotFoundException: text`.
    #[track_caller]
    pub(crate) fn refused(&self, method: &str, uri: &str, body: Value) -> String {
        let answered = self.call(method, uri, body);
        assert!(answered.status >= 400, "{method} {uri}: {answered:?}");
        let text = answered.body["message"].as_str().unwrap();
        format!("{} {}: {text}", answered.status, answered.error)
    }

    /// Each of these patches, an operation with its path and value, is refused: 400
    /// BadRequestException with this text.
    #[track_caller]
    pub(crate) fn refuses_patches(&self, uri: &str, refusals: &[(&str, &str, &str, &str)]) {
        for (op, path, value, text) in refusals {
            let refused = self.refused("PATCH", uri, patch(op, path, value));
            assert_eq!(refused, format!("400 BadRequestException: {text}"), "{op} {path} {value}");
        }
    }

    /// What a URI names isn't there, whatever is asked of it.
    #[track_caller]
    pub(crate) fn misses(&self, methods: &[&str], uri: &str, refused: &str) {
        for method in methods {
            assert_eq!(self.refused(method, uri, Value::Null), refused, "{method} {uri}");
        }
    }

    /// A new API: its id and that of its root resource.
    pub(crate) fn api(&self) -> (String, String) {
        let api = self.ok("POST", "/restapis", serde_json::json!({ "name": "pets" }));
        let text = |member: &str| api[member].as_str().unwrap().to_owned();
        (text("id"), text("rootResourceId"))
    }

    /// Puts a record of an API into the store as it is: `put("a1b2", "models", "Pet", …)`.
    pub(crate) fn put(&self, api: &str, collection: &str, name: &str, record: Value) {
        let key = keys::of_api(api, collection).child(name);
        let put = |unit: &mut crate::unit::Unit| {
            unit.put(key.clone(), &record);
            Ok(())
        };
        self.management.context.carry_out(put).unwrap();
    }
}

/// A data plane that has seen no traffic and serves everything.
#[derive(Default)]
struct Idle {
    /// What was granted, by plan and key.
    remaining: Mutex<BTreeMap<(String, String), u64>>,
}

impl DataPlane for Idle {
    fn unserved(&self, _: &CompiledStage) -> Vec<String> {
        Vec::new()
    }

    fn unserved_settings(&self, _: &Stage) -> Vec<String> {
        Vec::new()
    }

    fn test_invoke(
        &self,
        _: &Api,
        _: StageSettings,
        _: Invocation,
    ) -> Result<InvocationResult, ApiError> {
        Err(ApiError::bad_request("nothing is invoked in this test"))
    }

    fn test_invoke_authorizer(
        &self,
        _: &Api,
        _: StageSettings,
        _: &str,
        _: Invocation,
    ) -> Result<AuthorizerResult, ApiError> {
        Err(ApiError::bad_request("nothing is invoked in this test"))
    }

    fn usage(&self, request: &UsageRequest) -> Result<UsageReport, ApiError> {
        let remaining = self.remaining.lock();
        let wanted = remaining.iter().filter(|((plan, key), _)| {
            *plan == request.plan && request.key.as_ref().is_none_or(|wanted| wanted == key)
        });
        let items = wanted.map(|((_, key), left)| (key.clone(), vec![[0, *left as i64]]));
        Ok(UsageReport { items: items.take(request.limit).collect(), position: None })
    }

    fn set_remaining(&self, plan: &str, key: &str, remaining: u64) -> Result<(), ApiError> {
        self.remaining.lock().insert((plan.to_owned(), key.to_owned()), remaining);
        Ok(())
    }

    fn flush_authorizer_cache(&self, _: &str, _: &str) {}
}
