//! Catches the log lines of plugins, to print them with what the plugin did.

use std::fmt::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The host logs for plugins under this target, or below it.
const TARGET: &str = "tollgate_plugin_host";

/// Lines caught and not taken yet.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// The lines since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

/// Catches from now on, at every level. Once in a process.
pub fn capture() -> Log {
    let log = Log::default();
    tracing_subscriber::registry().with(Catcher(log.clone())).init();
    log
}

struct Catcher(Log);

impl<S: tracing::Subscriber> Layer<S> for Catcher {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(TARGET)
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line { message: String::new(), fields: String::new() };
        event.record(&mut line);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        self.0.0.lock().push(format!("{level}: {}{}", line.message, line.fields));
    }
}

struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Everything here is about one plugin, and there is no request id to look for.
            "plugin" | "request_id" => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            "plugin" | "request_id" => Ok(()),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}
