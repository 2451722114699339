//! Lines in the gateway's log, with the plugin's name and the request's id.
//!
//! [`trace!`](crate::trace!), [`debug!`](crate::debug!), [`info!`](crate::info!),
//! [`warn!`](crate::warn!) and [`error!`](crate::error!) take what `format!` takes and, after a
//! semicolon, fields:
//!
//! ```
//! # use tollgate_plugin_sdk::info;
//! # let gateway = tollgate_plugin_sdk::testing::Gateway::new();
//! # gateway.run(|| {
//! info!("fetched {} keys", 2; "upstream" => "jwks");
//! # });
//! # assert_eq!(gateway.log_lines(), ["INFO fetched 2 keys upstream=jwks"]);
//! ```
//!
//! What a level that isn't kept would say is not formatted.

use crate::host;

pub use crate::bindings::tollgate::plugin::log::Level;

/// Whether a line of this level would be kept.
pub fn enabled(level: Level) -> bool {
    host::log::enabled(level)
}

/// Writes a line: up to 8 KiB, 100 lines a call; what is beyond is cut and counted.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    host::log::log(level, message, fields);
}

/// Writes a line of a level. See [`log`](crate::log).
#[macro_export]
macro_rules! log {
    ($level:expr, $($argument:expr),+ $(; $($key:expr => $value:expr),+)? $(,)?) => {
        if $crate::log::enabled($level) {
            $crate::log::write($level, &format!($($argument),+), &[
                $($((String::from($key), ($value).to_string())),+)?
            ]);
        }
    };
}

/// A line for whoever follows every step.
#[macro_export]
macro_rules! trace {
    ($($line:tt)+) => { $crate::log!($crate::log::Level::Trace, $($line)+) };
}

/// A line for whoever looks for a mistake, such as a client's.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::log!($crate::log::Level::Debug, $($line)+) };
}

/// A line worth keeping.
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::log!($crate::log::Level::Info, $($line)+) };
}

/// A line about what the operator should act on.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::log!($crate::log::Level::Warn, $($line)+) };
}

/// A line about what failed.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::log!($crate::log::Level::Error, $($line)+) };
}
