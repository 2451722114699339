//! `loader requests`: a closed loop of a fixed number of clients for a fixed time.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};

use crate::Target;
use crate::client::{Connector, tls_config};

#[derive(clap::Args)]
pub struct Options {
    /// Clients that send at the same time.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// How long to send, in seconds.
    #[arg(long)]
    seconds: f64,
    /// Open a connection for each request and close it after.
    #[arg(long)]
    new_connection: bool,
    /// Resume TLS sessions; each client keeps its own.
    #[arg(long)]
    resume: bool,
    /// POST a body of this many bytes instead of sending GET.
    #[arg(long)]
    upload_bytes: Option<usize>,
    /// A file of requests without bodies, a line of "METHOD HOST PATH" each, to send instead of the
    /// one path. Each client begins elsewhere in it and cycles through it.
    #[arg(long, conflicts_with = "upload_bytes")]
    requests: Option<PathBuf>,
    /// The address to come from. Default: a hundred of the loopback's.
    #[arg(long)]
    from: Option<IpAddr>,
    /// Begin a request only every so many milliseconds, each client. Default: at once.
    #[arg(long)]
    every_ms: Option<u64>,
    /// Count requests that fail or take longer than so many milliseconds, instead of ending with
    /// an error.
    #[arg(long)]
    patience_ms: Option<u64>,
}

#[derive(Default)]
struct Tally {
    latencies_us: Vec<u64>,
    resumed: usize,
    errors: usize,
    first_error: Option<String>,
}

pub async fn run(target: Target, options: Options) -> anyhow::Result<()> {
    let body: Arc<[u8]> = vec![b'x'; options.upload_bytes.unwrap_or(0)].into();
    let heads: Arc<[Vec<u8>]> = heads(&target, &options)?.into();
    let start = Instant::now();
    let patience = options.patience_ms.map(Duration::from_millis);
    let deadline = start + Duration::from_secs_f64(options.seconds);

    let mut clients = JoinSet::new();
    for index in 0..options.clients {
        let tls = match target.tls {
            true => Some(tls_config(options.resume)?),
            false => None,
        };
        let connector = match options.from {
            Some(address) => Connector::from_address(target.address, address, tls),
            None => Connector::new(target.address, index, tls),
        };
        let pace = Pace::new(&options, index);
        let client = client(
            connector,
            Cycle::new(heads.clone(), index, options.clients),
            body.clone(),
            options.new_connection,
            pace,
            patience,
            deadline,
        );
        clients.spawn(client);
    }

    let mut total = Tally::default();
    while let Some(tally) = clients.join_next().await {
        let tally = tally?;
        total.latencies_us.extend(tally.latencies_us);
        total.resumed += tally.resumed;
        total.errors += tally.errors;
        total.first_error = total.first_error.or(tally.first_error);
    }
    report(total, start.elapsed(), patience.is_some())
}

/// When a client begins its requests.
struct Pace(Option<Interval>);

impl Pace {
    /// Clients take turns.
    fn new(options: &Options, index: usize) -> Self {
        Self(options.every_ms.map(|milliseconds| {
            let period = Duration::from_millis(milliseconds);
            let offset = period * index as u32 / options.clients as u32;
            let mut interval = interval_at((Instant::now() + offset).into(), period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        }))
    }

    async fn wait(&mut self) {
        if let Some(interval) = &mut self.0 {
            interval.tick().await;
        }
    }
}

/// The heads that one client sends, in turn.
struct Cycle {
    heads: Arc<[Vec<u8>]>,
    next: usize,
}

impl Cycle {
    fn new(heads: Arc<[Vec<u8>]>, index: usize, clients: usize) -> Self {
        let next = heads.len() * index / clients;
        Self { heads, next }
    }

    fn next(&mut self) -> &[u8] {
        let head = &self.heads[self.next];
        self.next = (self.next + 1) % self.heads.len();
        head
    }
}

fn heads(target: &Target, options: &Options) -> anyhow::Result<Vec<Vec<u8>>> {
    match &options.requests {
        Some(file) => read_heads(file),
        None => Ok(vec![head(target, options).into_bytes()]),
    }
}

fn read_heads(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let heads = text.lines().map(|line| {
        let mut words = line.split(' ');
        let (Some(method), Some(host), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            bail!("{line:?} is no request; allowed: METHOD HOST PATH");
        };
        Ok(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes())
    });
    let heads = heads.collect::<anyhow::Result<Vec<_>>>()?;
    match heads.is_empty() {
        true => bail!("{}: no requests", file.display()),
        false => Ok(heads),
    }
}

fn head(target: &Target, options: &Options) -> String {
    let connection = match options.new_connection {
        true => "connection: close\r\n",
        false => "",
    };
    let (method, length) = match options.upload_bytes {
        Some(bytes) => ("POST", format!("content-length: {bytes}\r\n")),
        None => ("GET", String::new()),
    };
    let Target { path, address, .. } = target;
    format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n{length}{connection}\r\n")
}

/// Sends until `deadline`; a request under way then is finished and counted, because the target
/// has spent its CPU time on it.
async fn client(
    connector: Connector,
    mut heads: Cycle,
    body: Arc<[u8]>,
    new_connection: bool,
    mut pace: Pace,
    patience: Option<Duration>,
    deadline: Instant,
) -> Tally {
    let mut tally = Tally::default();
    let mut open = None;
    while Instant::now() < deadline {
        pace.wait().await;
        let head = heads.next();
        let begun = Instant::now();
        let answered = async {
            let mut connection = match open.take() {
                Some(connection) => connection,
                None => connector.connect().await?,
            };
            connection.exchange(head, &body).await?;
            anyhow::Ok(connection)
        };
        let result = match patience {
            None => answered.await,
            Some(patience) => timeout(patience, answered)
                .await
                .unwrap_or_else(|_| Err(anyhow!("no answer in {patience:?}"))),
        };
        match result {
            Ok(connection) => {
                let latency = begun.elapsed().as_micros();
                tally
                    .latencies_us
                    .push(u64::try_from(latency).unwrap_or(u64::MAX));
                tally.resumed += usize::from(connection.resumed);
                if new_connection {
                    connection.close().await;
                } else {
                    open = Some(connection);
                }
            }
            Err(error) => {
                tally.errors += 1;
                tally
                    .first_error
                    .get_or_insert_with(|| format!("{error:#}"));
                // A target that refuses at once must not turn the loop into a spin.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    tally
}

/// Prints the totals. A single failed request is an error, unless they are to be counted: the load
/// was not the one meant.
fn report(mut tally: Tally, elapsed: Duration, count_failures: bool) -> anyhow::Result<()> {
    if let Some(error) = tally.first_error
        && !count_failures
    {
        bail!("{} requests failed, the first with: {error}", tally.errors);
    }
    tally.latencies_us.sort_unstable();
    let count = tally.latencies_us.len();
    let percentile = |percent: usize| {
        let latency = tally.latencies_us.get(count * percent / 100);
        latency.copied().context("no request was answered")
    };
    println!(
        "{{\"requests\":{count},\"seconds\":{},\"p50_us\":{},\"p99_us\":{},\"resumed\":{},\"errors\":{}}}",
        elapsed.as_secs_f64(),
        percentile(50)?,
        percentile(99)?,
        tally.resumed,
        tally.errors,
    );
    Ok(())
}
