//! Modules written by hand, in the real host.

mod bodies;
mod flow;
mod grpc;
mod guest;
mod headers;
mod hostile;
mod isolation;
mod loading;
mod sdks;
mod upstreams;
mod values;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::state::ROOT;
use super::{Filter, Stream};
use crate::config::PluginSettings;
use crate::inspect::Abi;
use crate::plugin::PluginContext;
use crate::{ClientCertificate, Headers, Http, PluginError, RequestInfo, Verdict};

pub(super) use guest::Guest;

struct Info;

impl RequestInfo for Info {
    fn request_id(&self) -> &str {
        "request-1"
    }
    fn api_id(&self) -> &str {
        "api"
    }
    fn stage(&self) -> &str {
        "prod"
    }
    fn resource(&self) -> &str {
        "/pets/{id}"
    }
    fn method_arn(&self) -> String {
        String::new()
    }
    fn source_address(&self) -> &str {
        "192.0.2.1"
    }
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn protocol(&self) -> &'static str {
        "HTTP/1.1"
    }
    fn tls_version(&self) -> Option<&str> {
        None
    }
    fn server_name(&self) -> Option<&str> {
        None
    }
    fn client_certificate(&self) -> Option<ClientCertificate<'_>> {
        None
    }
    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn each_path_parameter(&self, _: &mut dyn FnMut(&str, &str)) {}
    fn each_stage_variable(&self, _: &mut dyn FnMut(&str, &str)) {}
    fn stage_variable(&self, _: &str) -> Option<&str> {
        None
    }
    fn context(&self, _: &str) -> Option<String> {
        None
    }
}

/// A filter made of a guest, with settings.
pub(super) fn load(guest: &Guest, settings: PluginSettings) -> Result<Filter, PluginError> {
    load_wat(&guest.wat(), settings, Abi::V0_2_1)
}

pub(super) fn load_wat(
    wat: &str,
    settings: PluginSettings,
    abi: Abi,
) -> Result<Filter, PluginError> {
    let bytes = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"));
    load_wasm(PluginContext::for_test("filter", settings), &bytes, abi)
}

pub(super) fn load_wasm(
    context: Arc<PluginContext>,
    bytes: &[u8],
    abi: Abi,
) -> Result<Filter, PluginError> {
    let module = wasmtime::Module::new(&context.engine, bytes).unwrap();
    Filter::new(context, &module, abi)
}

/// A filter with default settings.
pub(super) fn filter(guest: &Guest) -> Filter {
    load(guest, PluginSettings::default()).unwrap()
}

/// An exchange of one filter.
pub(super) struct Exchange {
    pub(super) http: Arc<Http>,
    pub(super) stream: Stream,
}

pub(super) fn exchange(filter: &Filter) -> Exchange {
    let http = Http::new(Info, Headers::default());
    let headers = [
        (":method", "GET"),
        (":path", "/pets?x=1"),
        (":authority", "example.com"),
        (":scheme", "https"),
        ("accept", "text/html"),
        ("accept", "application/json"),
        ("authorization", "secret"),
    ];
    for (name, value) in headers {
        http.state.lock().request_headers.push(name.as_bytes(), value.as_bytes());
    }
    Exchange { stream: filter.stream(http.clone()), http }
}

impl Exchange {
    /// A response comes, with these headers.
    pub(super) fn responds(&self, headers: &[(&str, &str)]) {
        let mut state = self.http.state.lock();
        state.request_sent = true;
        for (name, value) in headers {
            state.response_headers.push(name.as_bytes(), value.as_bytes());
        }
    }

    pub(super) fn request_header(&self, name: &str) -> Option<String> {
        let state = self.http.state.lock();
        state.request_headers.get(name.as_bytes()).map(text)
    }

    /// The `slot`th number that the guest wrote down.
    pub(super) fn slot(&self, slot: usize) -> u32 {
        self.memory(4 * slot, 4, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
    }

    /// The bytes that slots `slot` and `slot` + 1 point to.
    pub(super) fn given(&self, slot: usize) -> String {
        let (pointer, size) = (self.slot(slot) as usize, self.slot(slot + 1) as usize);
        self.memory(pointer, size, text)
    }

    fn memory<T>(&self, start: usize, size: usize, f: impl FnOnce(&[u8]) -> T) -> T {
        let bound = self.stream.bound.get().expect("the exchange has begun");
        bound
            .cell
            .run(|vm| {
                let memory = vm.state().memory.expect("the VM has started");
                Ok(f(&memory.data(&vm.running.store)[start..start + size]))
            })
            .unwrap()
    }

    /// How many contexts its VM has.
    pub(super) fn contexts(&self) -> usize {
        let bound = self.stream.bound.get().expect("the exchange has begun");
        bound.cell.run(|vm| Ok(vm.state().streams.iter_mut().count())).unwrap()
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something is so.
pub(super) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) fn is_continue(result: Result<Verdict, PluginError>) -> bool {
    matches!(result, Ok(Verdict::Continue))
}

pub(super) fn root_id() -> u32 {
    ROOT.0
}
