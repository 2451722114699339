//! The upstream every target proxies to: as cheap as an HTTP/1.1 server can be.
//!
//! It shares one core with the load generator, so each microsecond it takes is one in which the
//! target under test may starve. It is single-threaded and writes answers made before it starts.
//!
//! | request        | answer                                          |
//! | -------------- | ----------------------------------------------- |
//! | `GET /big`     | a body of `--big-bytes` bytes                   |
//! | `POST /upload` | reads `content-length` bytes, then a small body |
//! | `POST /record` | the same, then the content of `--record`        |
//! | anything else  | a small body (the content of `--body`)          |

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Args {
    #[arg(long)]
    listen: SocketAddr,
    /// File whose content is the small body.
    #[arg(long)]
    body: PathBuf,
    /// File whose content is the body of `/record`.
    #[arg(long)]
    record: PathBuf,
    /// Length of the body of `/big`, in bytes.
    #[arg(long)]
    big_bytes: usize,
}

/// Proxies send well under 1 KB of head; more than this is a mistake worth an error.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// One read of an upload, one write of a download.
const CHUNK_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;

struct Answers {
    small: Vec<u8>,
    record: Vec<u8>,
    big_head: Vec<u8>,
    big_bytes: usize,
    chunk: Vec<u8>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let body = std::fs::read(&args.body).with_context(|| format!("read {:?}", args.body))?;
    let record = std::fs::read(&args.record).with_context(|| format!("read {:?}", args.record))?;
    let answers = Arc::new(Answers {
        record: [head("application/json", record.len()), record].concat(),
        small: [head("application/json", body.len()), body].concat(),
        big_head: head("application/octet-stream", args.big_bytes),
        big_bytes: args.big_bytes,
        chunk: vec![b'x'; CHUNK_BYTES],
    });

    let listener = TcpListener::bind(args.listen).await?;
    loop {
        let (connection, _) = listener.accept().await?;
        let answers = answers.clone();
        tokio::spawn(async move {
            // A proxy that drops a pooled connection is no event; a request we can't read is.
            if let Err(error) = serve(connection, &answers).await {
                eprintln!("origin: {error:#}");
            }
        });
    }
}

fn head(content_type: &str, content_length: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {content_length}\r\n\r\n"
    )
    .into_bytes()
}

async fn serve(mut connection: TcpStream, answers: &Answers) -> anyhow::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut filled = 0;
    loop {
        let Some(request) = parse(&buffer[..filled])? else {
            if filled > MAX_HEAD_BYTES {
                bail!("request head over {MAX_HEAD_BYTES} bytes");
            }
            match connection.read(&mut buffer[filled..]).await {
                // Proxies end pooled connections as they like: a close or a reset between requests.
                Ok(0) | Err(_) => return Ok(()),
                Ok(read) => filled += read,
            }
            continue;
        };

        let in_buffer = request.body_bytes.min(filled - request.head_bytes);
        let consumed = request.head_bytes + in_buffer;
        buffer.copy_within(consumed..filled, 0);
        filled -= consumed;
        let mut body_left = request.body_bytes - in_buffer;
        while body_left > 0 {
            let limit = body_left.min(CHUNK_BYTES);
            match connection.read(&mut buffer[..limit]).await? {
                0 => bail!("upload ended {body_left} bytes early"),
                read => body_left -= read,
            }
        }

        match request.answer {
            Answer::Small => connection.write_all(&answers.small).await?,
            Answer::Record => connection.write_all(&answers.record).await?,
            Answer::Big => {
                connection.write_all(&answers.big_head).await?;
                let mut left = answers.big_bytes;
                while left > 0 {
                    let length = left.min(CHUNK_BYTES);
                    connection.write_all(&answers.chunk[..length]).await?;
                    left -= length;
                }
            }
        }
    }
}

struct Request {
    head_bytes: usize,
    body_bytes: usize,
    answer: Answer,
}

enum Answer {
    Small,
    Record,
    Big,
}

/// Reads a request head from the start of `buffer`; `None` while it is not complete.
fn parse(buffer: &[u8]) -> anyhow::Result<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = parsed.parse(buffer)? else {
        return Ok(None);
    };
    let mut body_bytes = 0;
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body_bytes = std::str::from_utf8(header.value)?.parse()?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            // The scenarios send lengths; a proxy that turns them into chunks would do other work.
            bail!("transfer-encoding: the scenarios only send content-length");
        }
    }
    let answer = match parsed.path {
        Some("/big") => Answer::Big,
        Some("/record") => Answer::Record,
        _ => Answer::Small,
    };
    Ok(Some(Request {
        head_bytes,
        body_bytes,
        answer,
    }))
}
