//! The gateway's own log: to standard error, since standard output may carry access log lines
//! or JSON for another program.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;
use crate::config::wire::LogFormat;

/// Comes before what the configuration says.
const VARIABLE: &str = "TOLLGATE_LOG";

/// Starts the log. Fails when the environment holds a filter that is none.
pub fn start(config: &LogConfig) -> Result<(), String> {
    let level = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => filter(&text)
            .map_err(|problem| format!("environment variable {VARIABLE}: {problem}"))?,
        _ => config.level.clone(),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(without_the_frameworks_story(&level)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Pingora tells each step of its start and end at `info`, in words that mislead here: our
/// drain looks like a SIGINT to it. Whoever wants that names it, or asks for `debug`.
fn without_the_frameworks_story(filter: &str) -> String {
    let everything = ["debug", "trace"].iter().any(|level| filter.eq_ignore_ascii_case(level));
    let quieter = ["off", "error", "warn"].iter().any(|level| filter.eq_ignore_ascii_case(level));
    if everything || quieter || filter.contains("pingora") {
        filter.to_owned()
    } else {
        format!("{filter},pingora_core=warn")
    }
}

/// Checks a filter: a level, or `target=level` pairs and levels parted by commas.
///
/// `EnvFilter` alone takes any word for the name of a target, so that `inf` would turn
/// everything off without a word.
pub fn filter(text: &str) -> Result<String, String> {
    let refused = || {
        format!(
            "{text:?} is not a log level; allowed: off, error, warn, info, debug or trace, or a filter such as \
             info,tollgate_gateway=debug"
        )
    };
    let is_level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|level| word.eq_ignore_ascii_case(level))
    };
    for directive in text.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !is_level(level.trim()) {
            return Err(refused());
        }
    }
    EnvFilter::try_new(text).map_err(|_| refused())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{filter, without_the_frameworks_story};

    #[test]
    fn pingora_is_heard_when_it_warns_or_is_asked_for() {
        for (filter, applied) in [
            ("info", "info,pingora_core=warn"),
            ("debug", "debug"),
            ("error", "error"),
            ("warn,pingora_core=info", "warn,pingora_core=info"),
        ] {
            assert_eq!(without_the_frameworks_story(filter), applied);
        }
    }

    #[test]
    fn a_filter_is_levels_and_targets_with_levels() {
        for text in [
            "info",
            "WARN",
            "off",
            "info,tollgate_gateway=debug",
            "tollgate_gateway::tls=trace,error",
        ] {
            assert!(filter(text).is_ok(), "{text}");
        }
        for text in ["", "inf", "tollgate_gateway", "info,", "tollgate_gateway=loud", "info,x"] {
            assert!(filter(text).is_err(), "{text}");
        }
    }
}
