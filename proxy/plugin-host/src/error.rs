//! Why a plugin can't be loaded, and why a call of one failed.

use std::fmt;

/// A call of a plugin failed. [`Display`](fmt::Display) is one line with the plugin's name.
#[derive(Debug)]
pub struct PluginError {
    pub plugin: Box<str>,
    pub kind: ErrorKind,
    /// What happened, for the operator.
    pub message: String,
    /// The plugin's own stack at a trap, innermost first, a frame each line; empty without one.
    pub backtrace: String,
}

/// Kinds of failure: the label of the error counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The code trapped: unreachable, a bad access, a division by zero, an exit.
    Trap,
    /// It ran longer than its CPU time.
    CpuTime,
    /// It asked for more memory, table elements or instances than it may have, and gave up.
    Memory,
    Stack,
    /// An exchange waited too long: for a fetch, for a resume, for a free instance.
    Wait,
    /// What it gave back can't be used: a header with a line end, a status out of range, a
    /// pointer out of its memory.
    Output,
    /// An instance could not be started.
    Start,
}

impl ErrorKind {
    pub const ALL: [Self; 7] = [
        Self::Trap,
        Self::CpuTime,
        Self::Memory,
        Self::Stack,
        Self::Wait,
        Self::Output,
        Self::Start,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::CpuTime => "cpu_time",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Wait => "wait",
            Self::Output => "output",
            Self::Start => "start",
        }
    }
}

impl PluginError {
    pub fn new(plugin: &str, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { plugin: plugin.into(), kind, message: message.into(), backtrace: String::new() }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}: {}", self.plugin, self.message)
    }
}

impl std::error::Error for PluginError {}

/// A plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: cannot be read: {reason}")]
    Read { path: String, reason: String },
    #[error("{path}: is {size} bytes; allowed: up to {maximum}")]
    TooLarge { path: String, size: u64, maximum: u64 },
    #[error("{path}: its SHA-256 is {found}, but {expected} is wanted")]
    Digest { path: String, expected: String, found: String },
    /// Not WebAssembly, not valid, or of no kind that runs here.
    #[error("{path}: {problem}")]
    Unfit { path: String, problem: String },
    #[error("{path}: {0}", path = .1)]
    Start(PluginError, String),
}

/// What a library says in several lines, for a log, where each line is a message of its own.
pub(crate) fn in_one_line(message: &impl fmt::Display) -> String {
    message.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
