//! proxy-wasm filters of a few instructions.

/// A filter in the making: a callback does what its text says, in WebAssembly's text format.
#[derive(Clone, Default)]
pub struct Filter {
    fields: String,
    next: usize,
}

/// The host calls that the filters use, with the number of their parameters.
const HOST_CALLS: [(&str, usize); 14] = [
    ("proxy_log", 3),
    ("proxy_send_local_response", 8),
    ("proxy_get_header_map_value", 5),
    ("proxy_add_header_map_value", 5),
    ("proxy_set_header_map_pairs", 3),
    ("proxy_get_property", 4),
    ("proxy_get_buffer_bytes", 5),
    ("proxy_set_buffer_bytes", 5),
    ("proxy_get_status", 3),
    ("proxy_set_effective_context", 1),
    ("proxy_continue_stream", 1),
    ("proxy_grpc_call", 12),
    ("proxy_grpc_stream", 9),
    ("proxy_grpc_send", 4),
];

impl Filter {
    pub fn new() -> Self {
        Self { fields: String::new(), next: 4096 }
    }

    /// Puts a text in memory; its pointer and size as two operands.
    pub fn text(&mut self, text: &str) -> String {
        self.bytes(text.as_bytes())
    }

    /// The same with any bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> String {
        let at = self.next;
        self.next += bytes.len();
        let text: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        self.fields.push_str(&format!("(data (i32.const {at}) \"{text}\")\n"));
        format!("(i32.const {at}) (i32.const {})", bytes.len())
    }

    /// With another field of the module.
    pub fn field(mut self, field: &str) -> Self {
        self.fields.push_str(field);
        self
    }

    /// With a callback for headers: its parameters are the context, how many headers there are,
    /// and whether nothing follows them; its result is what to do with the stream.
    fn on_headers(self, side: &str, body: &str) -> Self {
        self.field(&format!(
            "(func $on_headers_of_{side} (export \"proxy_on_{side}_headers\")
               (param $context i32) (param $count i32) (param $end i32) (result i32) {body})\n"
        ))
    }

    pub fn on_request_headers(self, body: &str) -> Self {
        self.on_headers("request", body)
    }

    pub fn on_response_headers(self, body: &str) -> Self {
        self.on_headers("response", body)
    }

    /// Does this with each request that has a body, and nothing with the others.
    pub fn on_requests_with_a_body(self, body: &str) -> Self {
        self.on_request_headers(&format!("(if (i32.eqz (local.get $end)) (then {body})) {GO_ON}"))
    }

    /// Adds `X-Version` to each response.
    pub fn version(version: &str) -> Self {
        let mut filter = Self::new();
        let (name, value) = (filter.text("x-version"), filter.text(version));
        filter.on_response_headers(&format!(
            "(drop (call $proxy_add_header_map_value (i32.const 2) {name} {value})) {GO_ON}"
        ))
    }

    /// Puts this in the place of each response's body.
    pub fn replacing_responses(body: &str) -> Self {
        let mut filter = Self::new();
        let body = filter.text(body);
        filter.field(&format!(
            "(func (export \"proxy_on_response_body\")
               (param $context i32) (param $size i32) (param $end i32) (result i32)
               (if (i32.eqz (local.get $end)) (then (return {PAUSE})))
               (drop (call $proxy_set_buffer_bytes (i32.const 1) (i32.const 0) (local.get $size) {body}))
               {GO_ON})"
        ))
    }

    /// The module's bytes.
    pub fn wasm(&self) -> Vec<u8> {
        let imports: String = HOST_CALLS
            .iter()
            .map(|(name, parameters)| {
                let parameters = "i32 ".repeat(*parameters);
                format!(
                    "(import \"env\" \"{name}\" (func ${name} (param {parameters}) (result i32)))\n"
                )
            })
            .collect();
        let text = format!(
            "(module $filter {imports} (memory (export \"memory\") 2) {}
               (func (export \"proxy_abi_version_0_2_1\"))
               (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (i32.const 65536)))",
            self.fields
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// What a callback gives to let the stream go on, and to stop it until it is resumed.
pub const GO_ON: &str = "(i32.const 0)";
pub const PAUSE: &str = "(i32.const 1)";
