//! The plugin's configuration, parsed once.

use std::ops::Deref;

/// The plugin's configuration as a value of the plugin's own, made of the operator's bytes when it
/// is first used, once in each instance. A new configuration means new instances.
///
/// ```
/// # use tollgate_plugin_sdk::Configuration;
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     header: String,
/// }
/// static SETTINGS: Configuration<Settings> = Configuration::json();
/// ```
///
/// # Panics
/// At its use, if the bytes can't be parsed; the gateway logs the reason, and the plugin's calls
/// fail until the configuration is mended.
pub struct Configuration<T: 'static> {
    parse: fn(&[u8]) -> Result<T, String>,
    #[cfg(target_arch = "wasm32")]
    parsed: std::sync::OnceLock<T>,
}

impl<T> Configuration<T> {
    /// A configuration in a format of the plugin's own.
    pub const fn new(parse: fn(&[u8]) -> Result<T, String>) -> Self {
        Self {
            parse,
            #[cfg(target_arch = "wasm32")]
            parsed: std::sync::OnceLock::new(),
        }
    }

    fn read(&self) -> T {
        match (self.parse)(&crate::host::configuration::get()) {
            Ok(parsed) => parsed,
            Err(problem) => panic!("the plugin's configuration can't be used: {problem}"),
        }
    }
}

#[cfg(feature = "json")]
impl<T: serde::de::DeserializeOwned> Configuration<T> {
    /// A JSON object. Without any configuration it is read as `{}`.
    pub const fn json() -> Self {
        Self::new(|bytes| {
            let bytes = if bytes.is_empty() { b"{}" } else { bytes };
            serde_json::from_slice(bytes).map_err(|error| error.to_string())
        })
    }
}

impl<T> Deref for Configuration<T> {
    type Target = T;

    #[cfg(target_arch = "wasm32")]
    fn deref(&self) -> &T {
        self.parsed.get_or_init(|| self.read())
    }

    /// Unit tests change the configuration: each use parses anew and leaks a little.
    #[cfg(not(target_arch = "wasm32"))]
    fn deref(&self) -> &T {
        Box::leak(Box::new(self.read()))
    }
}
