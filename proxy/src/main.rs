//! The `tollgate` binary: reads the command line and wires the crates together.
//!
//! ```text
//!  cli ──▶ dev ────────────────▶ definitions ──▶ Routes ──▶ Gateway
//!      ──▶ serve ──▶ config ──▶ loaded ──┘          (watch, SIGHUP: again)
//!      ──▶ check ──▶ config ──▶ loaded ──▶ a report
//!      ──▶ render ──▶ a template's output
//!      ──▶ plugin_command ──▶ what a plugin is and does
//!      ──▶ throttle_command ──▶ the kernel throttle's maps
//!      ──▶ usage_command ──▶ a running gateway's control socket
//!      ──▶ store_command ──▶ the control plane's store
//!      ──▶ deploy_command ──▶ the management API of a gateway, here or elsewhere
//!      ──▶ api_keys ──▶ new API keys
//! ```
//!
//! What an API means is the business of `tollgate-model`, what happens to a request that of
//! `tollgate-gateway`; here are files, flags and the environment.

mod cli;
mod config;
mod definitions;
mod control_plane;
mod plugins;
mod loaded;
mod dev;
mod serve;
mod check;
mod api_keys;
mod render;
mod plugin_command;
mod throttle_command;
mod usage_command;
mod store_command;
mod deploy_command;
mod watch;
mod self_signed;
mod echo;
mod logging;
mod allocator;
mod notify_systemd;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::usage::ApiKeyCommand;
use cli::{Cli, Command, ConfigCommand};

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|error| {
        eprintln!("{}", one_line(&error));
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(args) => dev::dev(*args),
        Command::Serve(args) => serve::serve(&args),
        Command::Check(args) => check::check(args),
        Command::Render(args) => render::render(&args),
        Command::Plugin(command) => plugin_command::plugin(&command),
        Command::Throttle(command) => throttle_command::throttle(&command),
        Command::Usage(args) => usage_command::usage(args),
        Command::Store(command) => store_command::store(&command),
        Command::Deploy(args) => deploy_command::deploy(&args),
        Command::Rollback(args) => deploy_command::rollback(&args),
        Command::Canary(command) => deploy_command::canary(&command),
        Command::ApiKey(ApiKeyCommand::Generate(args)) => api_keys::generate(&args),
        Command::Config(ConfigCommand::Schema) => print(&config::schema::json_schema()),
        Command::Echo(args) => echo::echo(args.listen).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// Prints to a reader that may leave early (`tollgate config schema | head`).
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// An error and its causes in one line. A cause that the error before it has told already, as
/// many libraries' errors do, is not told again.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_error_is_one_line_that_tells_each_cause_once() {
        let cause = anyhow::anyhow!("in use\n(98)");
        let error = cause.context("cannot listen: in use\n(98)").context("start");
        assert_eq!(super::one_line(&error), "start: cannot listen: in use (98)");
    }
}
