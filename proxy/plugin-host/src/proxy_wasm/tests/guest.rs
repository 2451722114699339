//! Modules of a few instructions: every host call is imported, and callbacks are given as text.

use std::fmt::Write;

/// A module in the making. Its memory: 1024 slots of 4 bytes for what a test reads, then texts,
/// and from the second page on what the allocator gives.
#[derive(Clone)]
pub(in super::super) struct Guest {
    texts: String,
    next: usize,
    functions: String,
    allocator: String,
    fields: String,
}

/// Host calls with their parameters; `I` is an i64.
pub(in super::super) const HOST_CALLS: &[(&str, &str)] = &[
    ("proxy_log", "iii"),
    ("proxy_get_log_level", "i"),
    ("proxy_get_current_time_nanoseconds", "i"),
    ("proxy_set_tick_period_milliseconds", "i"),
    ("proxy_set_effective_context", "i"),
    ("proxy_done", ""),
    ("proxy_continue_stream", "i"),
    ("proxy_close_stream", "i"),
    ("proxy_send_local_response", "iiiiiiii"),
    ("proxy_get_status", "iii"),
    ("proxy_get_buffer_bytes", "iiiii"),
    ("proxy_get_buffer_status", "iii"),
    ("proxy_set_buffer_bytes", "iiiii"),
    ("proxy_get_header_map_value", "iiiii"),
    ("proxy_get_header_map_pairs", "iii"),
    ("proxy_get_header_map_size", "ii"),
    ("proxy_add_header_map_value", "iiiii"),
    ("proxy_replace_header_map_value", "iiiii"),
    ("proxy_remove_header_map_value", "iii"),
    ("proxy_set_header_map_pairs", "iii"),
    ("proxy_get_property", "iiii"),
    ("proxy_set_property", "iiii"),
    ("proxy_call_foreign_function", "iiiiii"),
    ("proxy_get_shared_data", "iiiii"),
    ("proxy_set_shared_data", "iiiii"),
    ("proxy_register_shared_queue", "iii"),
    ("proxy_resolve_shared_queue", "iiiii"),
    ("proxy_enqueue_shared_queue", "iii"),
    ("proxy_dequeue_shared_queue", "iii"),
    ("proxy_define_metric", "iiii"),
    ("proxy_increment_metric", "iI"),
    ("proxy_record_metric", "iI"),
    ("proxy_get_metric", "ii"),
    ("proxy_http_call", "iiiiiiiiii"),
    ("proxy_grpc_call", "iiiiiiiiiiii"),
    ("proxy_grpc_stream", "iiiiiiiii"),
    ("proxy_grpc_send", "iiii"),
    ("proxy_grpc_cancel", "i"),
    ("proxy_grpc_close", "i"),
];

/// Callbacks with their parameters and whether they have a result.
pub(in super::super) const CALLBACKS: &[(&str, usize, bool)] = &[
    ("proxy_on_context_create", 2, false),
    ("proxy_on_vm_start", 2, true),
    ("proxy_on_configure", 2, true),
    ("proxy_on_done", 1, true),
    ("proxy_on_log", 1, false),
    ("proxy_on_delete", 1, false),
    ("proxy_on_tick", 1, false),
    ("proxy_on_queue_ready", 2, false),
    ("proxy_on_request_headers", 3, true),
    ("proxy_on_request_body", 3, true),
    ("proxy_on_request_trailers", 2, true),
    ("proxy_on_response_headers", 3, true),
    ("proxy_on_response_body", 3, true),
    ("proxy_on_response_trailers", 2, true),
    ("proxy_on_http_call_response", 5, false),
    ("proxy_on_grpc_receive_initial_metadata", 3, false),
    ("proxy_on_grpc_receive", 3, false),
    ("proxy_on_grpc_receive_trailing_metadata", 3, false),
    ("proxy_on_grpc_close", 3, false),
];

const BUMP: &str = "
    (global $next (mut i32) (i32.const 65536))
    (func (export \"malloc\") (param $size i32) (result i32)
      (local $block i32)
      (local.set $block (global.get $next))
      (global.set $next (i32.add (global.get $next) (i32.add (local.get $size) (i32.const 8))))
      (local.get $block))";

impl Guest {
    pub(in super::super) fn new() -> Self {
        Self {
            texts: String::new(),
            next: 4096,
            functions: String::new(),
            allocator: BUMP.to_owned(),
            fields: String::new(),
        }
    }

    /// Puts a text in memory; its pointer and size as two operands.
    pub(in super::super) fn text(&mut self, text: impl AsRef<[u8]>) -> String {
        let bytes = text.as_ref();
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let _ = writeln!(self.texts, "(data (i32.const {}) \"{escaped}\")", self.next);
        let operands = format!("(i32.const {}) (i32.const {})", self.next, bytes.len());
        self.next += bytes.len() + 1;
        operands
    }

    /// Header pairs as a map in memory.
    pub(in super::super) fn map(&mut self, pairs: &[(&str, &str)]) -> String {
        let mut map = Vec::new();
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        super::super::maps::encode(pairs, &mut map);
        self.text(map)
    }

    /// Exports a callback; parameters are `(local.get 0)` and so on, and there is a local `$n`.
    pub(in super::super) fn on(&mut self, name: &str, body: &str) -> &mut Self {
        let (_, parameters, has_result) =
            CALLBACKS.iter().find(|(known, ..)| *known == name).expect("a callback of the ABI");
        let parameters = "i32 ".repeat(*parameters);
        let result = if *has_result { "(result i32)" } else { "" };
        let _ = writeln!(
            self.functions,
            "(func (export \"{name}\") (param {parameters}) {result} (local $n i32) {body})"
        );
        self
    }

    /// Another field of the module.
    pub(in super::super) fn field(&mut self, field: &str) -> &mut Self {
        self.fields.push_str(field);
        self
    }

    /// Instead of the usual one.
    pub(in super::super) fn allocator(&mut self, field: &str) -> &mut Self {
        self.allocator = field.to_owned();
        self
    }

    pub(in super::super) fn wat(&self) -> String {
        let imports: String = HOST_CALLS
            .iter()
            .map(|(name, parameters)| {
                let parameters: String = parameters
                    .chars()
                    .map(|kind| if kind == 'I' { "i64 " } else { "i32 " })
                    .collect();
                format!(
                    "(import \"env\" \"{name}\" (func ${name} (param {parameters}) (result i32)))\n"
                )
            })
            .collect();
        let Self { texts, functions, allocator, fields, .. } = self;
        format!(
            "(module {imports} (memory (export \"memory\") 4) {allocator} {texts} {functions} \
             {fields} (func (export \"proxy_abi_version_0_2_1\")))"
        )
    }
}

/// The address of a slot, as an operand.
pub(in super::super) fn at(slot: usize) -> String {
    format!("(i32.const {})", 4 * slot)
}

/// Writes a value to a slot.
pub(in super::super) fn set(slot: usize, value: &str) -> String {
    format!("(i32.store (i32.const {}) {value})", 4 * slot)
}

/// Reads a slot.
pub(in super::super) fn get(slot: usize) -> String {
    format!("(i32.load (i32.const {}))", 4 * slot)
}

/// Counts a slot up.
pub(in super::super) fn count(slot: usize) -> String {
    set(slot, &format!("(i32.add {} (i32.const 1))", get(slot)))
}
