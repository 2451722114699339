//! The imports of a plugin, by the names that the component's have.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Answer, Exchange, Plugin};

/// The call that runs on this thread.
pub(super) struct Call {
    pub(super) plugin: Rc<RefCell<Plugin>>,
    pub(super) exchange: Exchange,
    pub(super) answer: Option<Answer>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Call>>> = const { RefCell::new(None) };
}

/// Runs plugin code; what was current before is current again afterwards, also after a panic.
pub(super) fn with<T>(call: Call, code: impl FnOnce() -> T) -> T {
    struct Restore(Option<Rc<Call>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(Rc::new(call))));
    code()
}

fn current() -> Rc<Call> {
    CURRENT.with_borrow(Clone::clone).expect("outside of a call: use testing::Gateway")
}

fn values(list: &[(String, String)], name: &str) -> Vec<String> {
    let named = list.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.clone()).collect()
}

fn packed(list: &[(String, String)]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, value) in list {
        packed.extend((name.len() as u32).to_le_bytes());
        packed.extend((value.len() as u32).to_le_bytes());
        packed.extend(name.bytes().chain(value.bytes()));
    }
    packed
}

fn exact(list: &[(String, String)], name: &str) -> Option<String> {
    list.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let value = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, value) {
            (b'%', Some(value)) => {
                decoded.push(value);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

pub(crate) mod request {
    use super::{current, exact, packed, percent_decoded, values};
    use crate::ClientCertificate;

    pub(crate) fn method() -> String {
        current().exchange.method.clone()
    }

    pub(crate) fn path() -> String {
        current().exchange.path.clone()
    }

    pub(crate) fn query_string() -> String {
        current().exchange.query.clone()
    }

    pub(crate) fn resource() -> String {
        let call = current();
        call.exchange.resource.clone().unwrap_or_else(|| call.exchange.path.clone())
    }

    pub(crate) fn stage() -> String {
        "test".to_owned()
    }

    pub(crate) fn api_id() -> String {
        "testapi".to_owned()
    }

    pub(crate) fn request_id() -> String {
        "00000000-0000-0000-0000-000000000001".to_owned()
    }

    pub(crate) fn method_arn() -> String {
        let path = path();
        let path = path.trim_start_matches('/');
        format!("arn:aws:execute-api:us-east-1:123456789012:testapi/test/{}/{path}", method())
    }

    pub(crate) fn header(name: &str) -> Option<String> {
        header_values(name).into_iter().next()
    }

    pub(crate) fn header_values(name: &str) -> Vec<String> {
        values(&current().exchange.headers, name)
    }

    pub(crate) fn packed_headers() -> Vec<u8> {
        packed(&current().exchange.headers)
    }

    pub(crate) fn query_parameter(name: &str) -> Option<String> {
        exact(&query_parameters(), name)
    }

    pub(crate) fn query_parameters() -> Vec<(String, String)> {
        let query = query_string();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (percent_decoded(name), percent_decoded(value)))
            .collect()
    }

    pub(crate) fn path_parameter(name: &str) -> Option<String> {
        exact(&current().exchange.path_parameters, name)
    }

    pub(crate) fn path_parameters() -> Vec<(String, String)> {
        current().exchange.path_parameters.clone()
    }

    pub(crate) fn stage_variable(name: &str) -> Option<String> {
        exact(&current().exchange.stage_variables, name)
    }

    pub(crate) fn stage_variables() -> Vec<(String, String)> {
        current().exchange.stage_variables.clone()
    }

    pub(crate) fn source_address() -> String {
        current().exchange.source_address.clone()
    }

    pub(crate) fn is_tls() -> bool {
        current().exchange.client_certificate.is_some()
    }

    pub(crate) fn client_certificate() -> Option<ClientCertificate> {
        current().exchange.client_certificate.clone()
    }

    pub(crate) fn context(name: &str) -> Option<String> {
        current().exchange.context.get(name).cloned()
    }

    pub(crate) fn body() -> Option<Vec<u8>> {
        current().exchange.body.clone()
    }
}

pub(crate) mod response {
    use super::{Call, current, packed, values};
    use crate::testing::Answer;

    fn answer(call: &Call) -> &Answer {
        call.answer.as_ref().expect("there is a response in on_response and on_response_body only")
    }

    pub(crate) fn status() -> u16 {
        answer(&current()).status
    }

    pub(crate) fn header(name: &str) -> Option<String> {
        header_values(name).into_iter().next()
    }

    pub(crate) fn header_values(name: &str) -> Vec<String> {
        values(&answer(&current()).headers, name)
    }

    pub(crate) fn packed_headers() -> Vec<u8> {
        packed(&answer(&current()).headers)
    }
}

pub(crate) mod exchange {
    use super::current;

    pub(crate) fn get(key: &str) -> Option<Vec<u8>> {
        current().exchange.values.borrow().get(key).cloned()
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> bool {
        let call = current();
        let mut values = call.exchange.values.borrow_mut();
        let others = values.iter().filter(|(name, _)| *name != key);
        let size: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        let fits = size + key.len() + value.len() <= 64 * 1024;
        if fits {
            values.insert(key.to_owned(), value.to_vec());
        }
        fits
    }
}

pub(crate) mod configuration {
    pub(crate) fn get() -> Vec<u8> {
        super::current().plugin.borrow().configuration.clone()
    }
}

pub(crate) mod log {
    use crate::log::Level;

    pub(crate) fn enabled(_: Level) -> bool {
        true
    }

    pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
        let level = match level {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        let fields: String = fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        super::current().plugin.borrow_mut().log.push(format!("{level} {message}{fields}"));
    }
}

pub(crate) mod clock {
    pub(crate) fn now() -> u64 {
        super::current().plugin.borrow().now.as_nanos() as u64
    }

    pub(crate) fn monotonic() -> u64 {
        now()
    }
}

pub(crate) mod random {
    use std::hash::{BuildHasher, RandomState};

    pub(crate) fn number() -> u64 {
        RandomState::new().hash_one(0)
    }

    pub(crate) fn bytes(length: u32) -> Vec<u8> {
        assert!(length <= 64 * 1024, "at most 64 KiB of random bytes at once");
        (0..length).map(|_| number() as u8).collect()
    }
}

pub(crate) mod key_value {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::super::Entry as Stored;
    use super::current;
    use crate::key_value::{Entry, Error};

    /// Never the same in two gateways, so that what a plugin caches by version can't be mixed up.
    static VERSION: AtomicU64 = AtomicU64::new(1);

    pub(crate) fn get(key: &str) -> Option<Entry> {
        let call = current();
        let plugin = call.plugin.borrow();
        let entry = plugin.entries.get(key)?;
        let fresh = entry.expires.is_none_or(|expires| plugin.now < expires);
        fresh.then(|| Entry { value: entry.value.clone(), version: entry.version })
    }

    pub(crate) fn set(key: &str, value: &[u8], time_to_live_ms: Option<u64>) -> Result<u64, Error> {
        if key.len() > 1024 {
            return Err(Error::Full);
        }
        let call = current();
        let mut plugin = call.plugin.borrow_mut();
        let expires = time_to_live_ms.map(|it| plugin.now + Duration::from_millis(it));
        let version = VERSION.fetch_add(1, Ordering::Relaxed);
        let entry = Stored { value: value.to_vec(), version, expires };
        plugin.entries.insert(key.to_owned(), entry);
        Ok(version)
    }

    pub(crate) fn compare_and_swap(
        key: &str,
        version: u64,
        value: &[u8],
        time_to_live_ms: Option<u64>,
    ) -> Result<u64, Error> {
        let found = get(key).map_or(0, |entry| entry.version);
        if found != version {
            return Err(Error::Conflict(found));
        }
        set(key, value, time_to_live_ms)
    }

    pub(crate) fn delete(key: &str) -> bool {
        let found = get(key).is_some();
        current().plugin.borrow_mut().entries.remove(key);
        found
    }
}

pub(crate) mod fetch {
    use std::cell::Cell;

    use super::current;
    use crate::testing::{FetchError, FetchRequest, FetchResponse};

    /// A request under way.
    pub struct Pending(Cell<Option<Result<FetchResponse, FetchError>>>);

    impl Pending {
        /// Waits for the response. Called again it fails.
        ///
        /// # Errors
        /// No response: see [`FetchError`].
        pub fn wait(&self) -> Result<FetchResponse, FetchError> {
            let waited = || Err(FetchError::Failed("waited for already".to_owned()));
            self.0.take().unwrap_or_else(waited)
        }
    }

    pub(crate) fn send(
        upstream: &str,
        request: &FetchRequest,
        timeout_ms: u32,
    ) -> Result<FetchResponse, FetchError> {
        start(upstream, request, timeout_ms)?.wait()
    }

    pub(crate) fn start(
        upstream: &str,
        request: &FetchRequest,
        _timeout_ms: u32,
    ) -> Result<Pending, FetchError> {
        let call = current();
        let answer = call.plugin.borrow().upstreams.get(upstream).cloned();
        let answer = answer.ok_or(FetchError::UnknownUpstream)?;
        call.plugin.borrow_mut().fetches.push((upstream.to_owned(), request.clone()));
        Ok(Pending(Cell::new(Some(answer(request)))))
    }
}
