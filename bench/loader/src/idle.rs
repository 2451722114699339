//! `loader idle`: many connections that each made one request and then say nothing.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Target;
use crate::client::{Connector, tls_config};

#[derive(clap::Args)]
pub struct Options {
    /// Connections to hold.
    #[arg(long)]
    connections: usize,
    /// Connections being opened at the same time.
    #[arg(long, default_value_t = 32)]
    opening: usize,
}

pub async fn run(target: Target, options: Options) -> anyhow::Result<()> {
    let request: Arc<[u8]> = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\n\r\n",
        target.path, target.address
    )
    .into_bytes()
    .into();
    let tls = match target.tls {
        true => Some(tls_config(false)?),
        false => None,
    };
    let slots = Arc::new(Semaphore::new(options.opening));
    let mut opening = JoinSet::new();
    for index in 0..options.connections {
        let connector = Connector::new(target.address, index, tls.clone());
        let request = request.clone();
        let slots = slots.clone();
        opening.spawn(async move {
            let _slot = slots.acquire().await?;
            let mut connection = connector.connect().await?;
            connection.exchange(&request, &[]).await?;
            anyhow::Ok(connection)
        });
    }
    let mut held = Vec::with_capacity(options.connections);
    while let Some(connection) = opening.join_next().await {
        held.push(connection??);
    }

    println!("{{\"open\":{}}}", held.len());
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    for connection in held {
        connection.close().await;
    }
    println!("{{\"open\":0}}");
    Ok(())
}
