//! A certificate that comes with a domain name: read and tried before it is kept.

use tokio_rustls::rustls;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;
use tollgate_model::control_plane::UploadedCertificate;

use crate::error::ApiError;

/// Bytes of a certificate, its key or its chain.
const MAXIMUM_PEM: usize = 64 * 1024;

/// PEM texts as a client gives them.
#[derive(Default)]
pub(super) struct Uploaded {
    pub body: Option<String>,
    pub private_key: Option<String>,
    pub chain: Option<String>,
}

impl Uploaded {
    /// A certificate that can be served for the domain name; none if nothing was given.
    pub fn checked(self, domain_name: &str) -> Result<Option<UploadedCertificate>, ApiError> {
        let (body, private_key) = match (self.body, self.private_key) {
            (None, None) if self.chain.is_none() => return Ok(None),
            (Some(body), Some(private_key)) => (body, private_key),
            _ => {
                return Err(ApiError::bad_request(
                    "certificateBody and certificatePrivateKey must be given together",
                ));
            }
        };
        let chain = self.chain.unwrap_or_default();
        if [&body, &private_key, &chain].iter().any(|text| text.len() > MAXIMUM_PEM) {
            return Err(invalid(&format!("a part is larger than {MAXIMUM_PEM} bytes")));
        }
        let chain = format!("{}\n{}\n", body.trim(), chain.trim()).trim_start().to_owned();
        let certificate = UploadedCertificate { chain, private_key };
        try_out(&certificate, domain_name)?;
        Ok(Some(certificate))
    }
}

fn try_out(certificate: &UploadedCertificate, domain_name: &str) -> Result<(), ApiError> {
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
    let chain: Vec<_> =
        chain.collect::<Result<_, _>>().map_err(|error| invalid(&error.to_string()))?;
    let Some(leaf) = chain.first().cloned() else {
        return Err(invalid("certificateBody holds no certificate"));
    };
    let key = PrivateKeyDer::from_pem_slice(certificate.private_key.as_bytes())
        .map_err(|_| invalid("certificatePrivateKey holds no private key that is not encrypted"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
        invalid(&match error {
            rustls::Error::InconsistentKeys(_) => {
                "certificatePrivateKey is not the key of the certificate".to_owned()
            }
            error => error.to_string(),
        })
    })?;
    let parsed = ParsedCertificate::try_from(&leaf).map_err(|error| invalid(&error.to_string()))?;
    // Any name that the wildcard stands for.
    let name = domain_name.replacen('*', "name", 1);
    let covers =
        ServerName::try_from(name).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    match covers {
        true => Ok(()),
        false => Err(invalid(&format!("it does not cover {domain_name}"))),
    }
}

fn invalid(reason: &str) -> ApiError {
    ApiError::bad_request(format!("Invalid certificate: {reason}"))
}
