//! One HTTP/1.1 client connection, plain or TLS, that reads answers with a `content-length`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, ProtocolVersion, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

const SERVER_NAME: &str = "localhost";
const BUFFER_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
/// TLS 1.3 tickets kept by each client; servers send one to four a connection.
const SESSIONS: usize = 8;

/// How a task connects: it always comes from the same loopback address.
pub struct Connector {
    target: SocketAddr,
    source: IpAddr,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// `index` chooses the source address: 127.0.0.2 and up, one for each of `SOURCES` tasks.
    /// Spreading them keeps short connections from using up one address's ports, and many idle
    /// ones under a gateway's limit of connections per address.
    pub fn new(target: SocketAddr, index: usize, tls: Option<Arc<ClientConfig>>) -> Self {
        const SOURCES: usize = 100;
        let last = 2 + u8::try_from(index % SOURCES).expect("SOURCES fits in u8");
        Self::from_address(target, Ipv4Addr::new(127, 0, 0, last).into(), tls)
    }

    /// From a given address.
    pub fn from_address(
        target: SocketAddr,
        source: IpAddr,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Connector {
            target,
            source,
            tls: tls.map(TlsConnector::from),
        }
    }

    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.source, 0))?;
        let tcp = socket.connect(self.target).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let (stream, resumed): (Box<dyn Stream>, bool) = match &self.tls {
            None => (Box::new(tcp), false),
            Some(tls) => {
                let name = ServerName::try_from(SERVER_NAME).expect("SERVER_NAME is a DNS name");
                let stream = tls.connect(name, tcp).await.context("TLS handshake")?;
                let session = stream.get_ref().1;
                if session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
                    bail!("not TLS 1.3: {:?}", session.protocol_version());
                }
                let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
                (Box::new(stream), resumed)
            }
        };
        Ok(Connection {
            stream,
            resumed,
            buffer: vec![0; BUFFER_BYTES],
        })
    }
}

/// A client configuration that trusts anyone. Without `resume`, every handshake is a full one.
pub fn tls_config(resume: bool) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = if resume {
        Resumption::in_memory_sessions(SESSIONS)
    } else {
        Resumption::disabled()
    };
    Ok(Arc::new(config))
}

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub struct Connection {
    stream: Box<dyn Stream>,
    /// The TLS handshake resumed an earlier session.
    pub resumed: bool,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends `head` and `body` and reads the answer to its end.
    ///
    /// An answer other than 200, or one without `content-length`, is an error: the load would not
    /// be the one that the scenario means.
    pub async fn exchange(&mut self, head: &[u8], body: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(head).await.context("send")?;
        self.stream.write_all(body).await.context("send body")?;
        self.stream.flush().await.context("flush")?;

        let mut filled = 0;
        let (head_bytes, body_bytes) = loop {
            if filled == self.buffer.len() {
                bail!("response head over {BUFFER_BYTES} bytes");
            }
            match self.stream.read(&mut self.buffer[filled..]).await? {
                0 => bail!("connection closed before an answer"),
                read => filled += read,
            }
            if let Some(lengths) = parse(&self.buffer[..filled])? {
                break lengths;
            }
        };
        let mut left = (head_bytes + body_bytes).saturating_sub(filled);
        while left > 0 {
            match self.stream.read(&mut self.buffer).await? {
                0 => bail!("connection closed {left} bytes before the end of the body"),
                read => left = left.saturating_sub(read),
            }
        }
        Ok(())
    }

    /// Closes in order, with a TLS close_notify. The server may have closed first, so an error
    /// here says nothing.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }
}

/// Lengths of head and body of a complete 200 head; `None` while it is not complete.
fn parse(buffer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(buffer)? else {
        return Ok(None);
    };
    if response.code != Some(200) {
        bail!("status {:?}", response.code);
    }
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .context("no content-length")?;
    Ok(Some((
        head_bytes,
        std::str::from_utf8(length.value)?.parse()?,
    )))
}

/// Skips verification: the targets' certificates are made for the run, and the client's work on
/// them would only take time from the core that makes the load.
#[derive(Debug)]
struct TrustAnyone;

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}
