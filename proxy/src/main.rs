//! The `tollgate` binary: reads the command line and wires the crates together.
//!
//! ```text
//!  cli ──▶ dev ────────────────▶ definitions ──▶ Routes ──▶ Gateway
//!      ──▶ serve ──▶ config ──▶ loaded ──┘          (watch, SIGHUP: again)
//!      ──▶ check ──▶ config ──▶ loaded ──▶ a report
//! ```
//!
//! What an API means is the business of `tollgate-model`, what happens to a request that of
//! `tollgate-gateway`; here are files, flags and the environment.

mod cli;
mod config;
mod definitions;
mod loaded;
mod dev;
mod serve;
mod check;
mod watch;
mod self_signed;
mod echo;
mod logging;
mod notify_systemd;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, ConfigCommand};

/// A tenth of a small request's time goes to the allocator; this one is cheaper than glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(args) => dev::dev(args),
        Command::Serve(args) => serve::serve(&args),
        Command::Check(args) => check::check(args),
        Command::Config(ConfigCommand::Schema) => print(config::schema::json_schema().as_bytes()),
        Command::Echo(args) => echo::echo(args.listen).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut script);
            print(&script)
        }
    }
}

/// Prints to a reader that may leave early (`tollgate config schema | head`).
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
