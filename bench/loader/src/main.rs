//! Load that wrk and h2load can't make: a new TLS connection for each request, large bodies in
//! both directions, and thousands of connections that are opened, used once and then held.
//!
//! Prints one line of JSON for each result, which `bench/run` reads.

mod client;
mod idle;
mod requests;

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send requests for a time, and print how many were answered and how fast.
    Requests {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        requests: requests::Options,
    },
    /// Open connections, make one request on each, print a line, and hold them until a line
    /// arrives on standard input.
    Idle {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        idle: idle::Options,
    },
}

#[derive(Args)]
struct Target {
    /// Address to connect to.
    #[arg(long)]
    address: SocketAddr,
    /// Speak TLS (1.3 or 1.2, ALPN http/1.1). The certificate is not verified.
    #[arg(long)]
    tls: bool,
    /// Request path.
    #[arg(long, default_value = "/")]
    path: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Requests {
            target,
            requests: options,
        } => requests::run(target, options).await,
        Command::Idle {
            target,
            idle: options,
        } => idle::run(target, options).await,
    }
}
