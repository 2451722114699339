//! TLS towards clients: which certificate answers which name, and how rustls is set up.
//!
//! [`Certificates`] is loaded from PEM files and can be loaded again while connections are made:
//! all files are read and checked first, then one atomic swap puts them in force. A file that can't
//! be used changes nothing, so that a renewal that went wrong keeps the old certificates serving.
//!
//! A client's SNI chooses: an exact name first, then a wildcard (`*.example.com` covers one label),
//! then the first certificate of the list, which also answers clients without SNI. Several
//! certificates for one name are allowed (ECDSA and RSA, say): the first that the client can verify
//! is taken.
//!
//! Beside the files' certificates there are those of custom domain names, which come with the names
//! and are loaded on their own: one that can't be used is left out, and neither set touches the
//! other. Where both have the same name, the files' certificate is taken.
//!
//! Watching the files for changes is the binary's task.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// TLS 1.2 sessions kept for clients that know session ids but no tickets, a few hundred bytes
/// each. Nearly all clients take tickets, whose state they keep themselves.
pub const TLS12_SESSIONS: usize = 4096;

/// The rustls configuration of every TLS listener.
///
/// - TLS 1.2 and 1.3 with ring's default suites and groups, ALPN `h2` and `http/1.1`.
/// - Resumption by tickets whose key rotates every six hours (so a ticket lives six to twelve).
///   They hold the session, so that resumption costs no memory here.
/// - One TLS 1.3 ticket for each handshake instead of rustls's two: each is derived, sealed and sent
///   with every new connection, and HTTP/2 clients, which open one connection, use one. A client
///   that opens several connections at once gets one with each of them.
/// - No early data: a request in it could be replayed by anybody who saw it.
/// - Record and buffer sizes stay rustls's own: it allocates them when there is something to hold,
///   and gives them back, so that an idle connection has none.
pub fn server_config(certificates: Arc<Certificates>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring's default provider has suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(TLS12_SESSIONS);
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    match ring::Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        // Without randomness no handshake will work either, and each will say so.
        Err(error) => tracing::error!(%error, "TLS sessions can't be resumed"),
    }
    config
}

/// The certificates in force.
#[derive(Debug, Default)]
pub struct Certificates {
    files: ArcSwap<ByName>,
    domains: ArcSwap<ByName>,
}

/// One certificate chain and its key, in PEM files (which may be the same one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Names that clients ask for, `example.com` or `*.example.com`; when empty, the DNS names
    /// of the certificate itself.
    pub names: Vec<String>,
    /// The certificate and its intermediates, leaf first.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// One certificate chain and its key, in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificatePem {
    /// As [`CertificateFiles::names`].
    pub names: Vec<String>,
    /// As in [`CertificateFiles::certificate`].
    pub certificate: Vec<u8>,
    /// As in [`CertificateFiles::key`].
    pub key: Vec<u8>,
}

/// A certificate that can't be used, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: {problem}")]
pub struct CertificateError {
    /// The file, or which certificate of the list.
    pub source_name: String,
    pub problem: CertificateProblem,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateProblem {
    #[error("can't be read: {0}")]
    Unreadable(std::io::Error),
    #[error("isn't valid PEM: {0}")]
    Pem(&'static str),
    #[error("holds no certificate (expected a section BEGIN CERTIFICATE)")]
    NoCertificate,
    #[error(
        "holds no private key (expected a section BEGIN PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY)"
    )]
    NoKey,
    #[error(
        "the private key is encrypted; store it decrypted (openssl pkey -in KEY -out DECRYPTED)"
    )]
    EncryptedKey,
    #[error("the private key can't be used: {0}")]
    UnusableKey(rustls::Error),
    #[error("the private key isn't the one of the certificate")]
    KeyMismatch,
    #[error("the certificate can't be read: {0}")]
    MalformedCertificate(String),
    #[error(
        "{0:?} isn't a name a certificate can be chosen by (expected example.com or *.example.com)"
    )]
    InvalidName(String),
}

impl Certificates {
    /// None yet: every handshake is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every handshake is refused for want of a certificate.
    pub fn is_empty(&self) -> bool {
        self.files.load().is_empty() && self.domains.load().is_empty()
    }

    /// Reads the files and puts them in force, all or (on an error) none. The first is the one for
    /// clients that ask for no name or an unknown one.
    pub fn load(&self, files: &[CertificateFiles]) -> Result<(), CertificateError> {
        let mut by_name = ByName::default();
        for files in files {
            let certificate_name = files.certificate.display().to_string();
            let key_name = files.key.display().to_string();
            let read = |path: &PathBuf, name: &str| {
                std::fs::read(path).map_err(|error| CertificateProblem::Unreadable(error).of(name))
            };
            let certificate = read(&files.certificate, &certificate_name)?;
            let key = read(&files.key, &key_name)?;
            by_name.add(&files.names, (&certificate_name, &certificate), (&key_name, &key))?;
        }
        self.files.store(Arc::new(by_name));
        Ok(())
    }

    /// The same for certificates in memory.
    pub fn load_pem(&self, pems: &[CertificatePem]) -> Result<(), CertificateError> {
        let mut by_name = ByName::default();
        for (place, pem) in pems.iter().enumerate() {
            by_name.add_pem(place, pem)?;
        }
        self.files.store(Arc::new(by_name));
        Ok(())
    }

    /// Puts the certificates of custom domain names in force, in place of those before. One that
    /// can't be used is left out, and the log says why. Clients that ask for none of the names get
    /// none of them.
    pub fn load_domains(&self, pems: &[CertificatePem]) {
        let mut by_name = ByName::default();
        for (place, pem) in pems.iter().enumerate() {
            if let Err(error) = by_name.add_pem(place, pem) {
                tracing::error!(%error, "the certificate of a domain name is not served");
            }
        }
        self.domains.store(Arc::new(by_name));
    }

    fn choose(
        &self,
        name: Option<&str>,
        is_verifiable: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<Arc<CertifiedKey>> {
        let (files, domains) = (self.files.load(), self.domains.load());
        let named = name.and_then(|name| {
            let name = lower_case(name);
            let exact = files.exact(&name).or_else(|| domains.exact(&name));
            exact.or_else(|| files.wildcard(&name)).or_else(|| domains.wildcard(&name))
        });
        let candidates = named.unwrap_or(&files.fallback);
        let verifiable = candidates.iter().find(|certified| is_verifiable(certified));
        verifiable.or(candidates.first()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(client_hello.server_name(), |certified| {
            certified.key.choose_scheme(client_hello.signature_schemes()).is_some()
        })
    }
}

/// rustls gives names in lower case today; that isn't documented.
fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

#[derive(Default)]
struct ByName {
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// The first certificate of the list, or none.
    fallback: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    fn is_empty(&self) -> bool {
        self.fallback.is_empty()
    }

    fn exact(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        self.exact.get(name).map(Vec::as_slice)
    }

    fn wildcard(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        self.wildcard.get(name.split_once('.')?.1).map(Vec::as_slice)
    }

    fn add_pem(&mut self, place: usize, pem: &CertificatePem) -> Result<(), CertificateError> {
        let name = match pem.names.first() {
            Some(name) => format!("certificate of {name}"),
            None => format!("certificate {}", place + 1),
        };
        self.add(&pem.names, (&name, &pem.certificate), (&name, &pem.key))
    }

    fn add(
        &mut self,
        names: &[String],
        (certificate_name, certificate): (&str, &[u8]),
        (key_name, key): (&str, &[u8]),
    ) -> Result<(), CertificateError> {
        let chain = read_chain(certificate).map_err(|problem| problem.of(certificate_name))?;
        let leaf = Leaf::read(&chain[0]).map_err(|problem| problem.of(certificate_name))?;
        leaf.warn_if_not_valid_now(certificate_name);

        let key = read_key(key).map_err(|problem| problem.of(key_name))?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map(Arc::new)
            .map_err(|error| CertificateProblem::from_key(error).of(key_name))?;

        let chosen_by = if names.is_empty() { &leaf.names } else { names };
        for name in chosen_by {
            let name = name.to_ascii_lowercase();
            let (map, dns_name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            if DnsName::try_from(dns_name).is_err() {
                return Err(CertificateProblem::InvalidName(name).of(certificate_name));
            }
            map.entry(dns_name.into()).or_default().push(Arc::clone(&certified));
        }
        if self.fallback.is_empty() {
            self.fallback.push(certified);
        } else if chosen_by.is_empty() {
            tracing::warn!(
                certificate = certificate_name,
                "certificate has no DNS name and none is configured; no client gets it"
            );
        }
        Ok(())
    }
}

impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificatePem").field("names", &self.names).finish_non_exhaustive()
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName")
            .field("exact", &self.exact.keys())
            .field("wildcard", &self.wildcard.keys())
            .finish_non_exhaustive()
    }
}

/// What is needed of the certificate itself.
struct Leaf {
    /// DNS names of the subject alternative name, in lower case.
    names: Vec<String>,
    /// Seconds since 1970.
    not_before: i64,
    not_after: i64,
    not_before_text: String,
    not_after_text: String,
}

impl Leaf {
    fn read(certificate: &CertificateDer<'_>) -> Result<Self, CertificateProblem> {
        let (_, certificate) = X509Certificate::from_der(certificate)
            .map_err(|error| CertificateProblem::MalformedCertificate(one_line(&error)))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| CertificateProblem::MalformedCertificate(one_line(&error)))?
            .map(|extension| &extension.value.general_names[..])
            .unwrap_or_default()
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        let validity = certificate.validity();
        Ok(Self {
            names,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            not_before_text: validity.not_before.to_string(),
            not_after_text: validity.not_after.to_string(),
        })
    }

    /// Such a certificate is served nevertheless: clients then say what is wrong, whereas a gateway
    /// that doesn't start helps nobody, and its clock may be the one that is wrong.
    fn warn_if_not_valid_now(&self, certificate: &str) {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        if now > self.not_after {
            tracing::warn!(certificate, expired = self.not_after_text, "certificate has expired");
        } else if now < self.not_before {
            tracing::warn!(
                certificate,
                valid_from = self.not_before_text,
                "certificate isn't valid yet"
            );
        }
    }
}

impl CertificateProblem {
    fn of(self, source_name: &str) -> CertificateError {
        CertificateError { source_name: source_name.to_owned(), problem: self }
    }

    fn from_key(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::KeyMismatch,
            rustls::Error::InvalidCertificate(error) => {
                Self::MalformedCertificate(one_line(&error))
            }
            error => Self::UnusableKey(error),
        }
    }

    /// Without the text in question: this may be a key file.
    fn from_pem(error: pem::Error) -> Self {
        Self::Pem(match error {
            pem::Error::MissingSectionEnd { .. } => "a section has no END line",
            pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
            pem::Error::Base64Decode(_) => "a section isn't base64",
            _ => "a section can't be read",
        })
    }
}

/// At least one certificate, leaf first.
fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(CertificateProblem::from_pem)?;
    if chain.is_empty() { Err(CertificateProblem::NoCertificate) } else { Ok(chain) }
}

fn read_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
    let holds = |needle: &str| text.windows(needle.len()).any(|window| window == needle.as_bytes());
    // PKCS#8, and the older form that OpenSSL calls traditional.
    if holds("BEGIN ENCRYPTED PRIVATE KEY") || holds("Proc-Type: 4,ENCRYPTED") {
        return Err(CertificateProblem::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateProblem::NoKey,
        error => CertificateProblem::from_pem(error),
    })
}

fn one_line(error: &impl fmt::Display) -> String {
    error.to_string().replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests;
