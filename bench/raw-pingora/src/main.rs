//! The smallest useful Pingora proxy: what Tollgate's figures are divided by.
//!
//! It runs Pingora's own `ProxyHttp` loop with Pingora's default settings: one worker, a plain
//! listener and a TLS listener with HTTP/2, one fixed upstream, no routing, no metrics, no log.
//! The one thing it answers itself is `/mock`, the counterpart of Tollgate's MOCK integration.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use clap::Parser;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

const MOCK_PATH: &str = "/mock";

#[derive(Parser)]
struct Args {
    /// Plain HTTP/1.1 listener.
    #[arg(long)]
    http: SocketAddr,
    /// TLS listener, HTTP/2 and HTTP/1.1 by ALPN.
    #[arg(long)]
    https: SocketAddr,
    /// Certificate chain, PEM.
    #[arg(long)]
    cert: String,
    /// Private key, PEM.
    #[arg(long)]
    key: String,
    /// Plain HTTP/1.1 upstream.
    #[arg(long)]
    origin: SocketAddr,
    /// File whose content `/mock` answers.
    #[arg(long)]
    mock_body: std::path::PathBuf,
}

struct RawProxy {
    origin: SocketAddr,
    mock_body: Bytes,
}

#[async_trait]
impl ProxyHttp for RawProxy {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn request_filter(&self, session: &mut Session, _ctx: &mut ()) -> Result<bool> {
        if session.req_header().uri.path() != MOCK_PATH {
            return Ok(false);
        }
        let mut response = ResponseHeader::build(200, Some(2))?;
        response.insert_header(http::header::CONTENT_TYPE, "application/json")?;
        response.insert_header(http::header::CONTENT_LENGTH, self.mock_body.len())?;
        session
            .write_response_header(Box::new(response), false)
            .await?;
        session
            .write_response_body(Some(self.mock_body.clone()), true)
            .await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();

    // `ServerConf` as it comes: one thread for each service, and both listeners are one service.
    let mut server = Server::new_with_opt_and_conf(None, ServerConf::default());
    server.bootstrap();

    let proxy = RawProxy {
        origin: args.origin,
        mock_body: std::fs::read(&args.mock_body)?.into(),
    };
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(&args.http.to_string());
    let mut tls = TlsSettings::intermediate(&args.cert, &args.key)?;
    tls.enable_h2();
    service.add_tls_with_settings(&args.https.to_string(), None, tls);

    server.add_service(service);
    server.run_forever()
}
