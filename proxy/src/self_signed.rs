//! The certificate of `tollgate dev`: made at start, signed by itself, kept in memory only.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

/// A certificate and its key as PEM, and the names it answers for.
pub struct SelfSigned {
    pub names: Vec<String>,
    pub certificate_pem: Vec<u8>,
    pub key_pem: Vec<u8>,
}

/// Makes one for `localhost`, the names below it, the APIs' default host names in a region, and
/// the loopback addresses.
pub fn self_signed(region: &str) -> Result<SelfSigned, rcgen::Error> {
    let names = vec![
        "localhost".to_owned(),
        "*.localhost".to_owned(),
        format!("*.execute-api.{region}.localhost"),
    ];
    let mut alternative_names = names.clone();
    alternative_names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    let mut parameters = CertificateParams::new(alternative_names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "Tollgate development");
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok(SelfSigned {
        names,
        certificate_pem: certificate.pem().into_bytes(),
        key_pem: key.serialize_pem().into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};

    #[test]
    fn it_is_one_certificate_and_one_key() {
        let made = super::self_signed("eu-west-1").unwrap();
        assert_eq!(CertificateDer::pem_slice_iter(&made.certificate_pem).count(), 1);
        assert!(PrivateKeyDer::from_pem_slice(&made.key_pem).is_ok());
        assert!(made.names.contains(&"*.execute-api.eu-west-1.localhost".to_owned()));
    }
}
