use std::io::Write as _;
use std::path::Path;

use rcgen::{CertificateParams, CertifiedKey as Made, KeyPair};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConnection,
};

use super::*;

fn made(names: &[&str]) -> Made<KeyPair> {
    rcgen::generate_simple_self_signed(
        names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
    )
    .expect("a certificate")
}

fn pem(certificate: &Made<KeyPair>) -> CertificatePem {
    named_pem(&[], certificate)
}

fn named_pem(names: &[&str], certificate: &Made<KeyPair>) -> CertificatePem {
    CertificatePem {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        certificate: certificate.cert.pem().into_bytes(),
        key: certificate.signing_key.serialize_pem().into_bytes(),
    }
}

fn loaded(certificates: &[&Made<KeyPair>]) -> Arc<Certificates> {
    let loaded = Arc::new(Certificates::new());
    let pems: Vec<CertificatePem> =
        certificates.iter().map(|certificate| pem(certificate)).collect();
    loaded.load_pem(&pems).expect("usable certificates");
    loaded
}

fn chosen(certificates: &Certificates, name: Option<&str>) -> Option<Vec<u8>> {
    certificates.choose(name, |_| true).map(|certified| certified.cert[0].to_vec())
}

fn der(certificate: &Made<KeyPair>) -> Option<Vec<u8>> {
    Some(certificate.cert.der().to_vec())
}

fn error_of(names: &[&str], certificate: &str, key: &str) -> String {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let loaded = Certificates::new().load_pem(&[CertificatePem {
        names,
        certificate: certificate.into(),
        key: key.into(),
    }]);
    loaded.expect_err("an unusable certificate").to_string()
}

/// A client and a server that have exchanged everything they had to say.
fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &'static str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut client =
        ClientConnection::new(Arc::clone(client), ServerName::try_from(name).expect("a name"))?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    while client.wants_write() || server.wants_write() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).expect("a vector takes everything");
        }
        server.read_tls(&mut flight.as_slice()).expect("a slice can be read");
        server.process_new_packets()?;
        flight.clear();
        while server.wants_write() {
            server.write_tls(&mut flight).expect("a vector takes everything");
        }
        client.read_tls(&mut flight.as_slice()).expect("a slice can be read");
        client.process_new_packets()?;
    }
    Ok((client, server))
}

fn client(
    trusted: &[&Made<KeyPair>],
    version: &'static rustls::SupportedProtocolVersion,
    resumption: Resumption,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.cert.der().clone()).expect("a root");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.resumption = resumption;
    Arc::new(config)
}

#[test]
fn an_exact_name_wins_over_a_wildcard_and_a_wildcard_over_the_first() {
    let (first, wildcard, exact) =
        (made(&["first.test"]), made(&["*.example.com"]), made(&["api.example.com"]));
    let certificates = loaded(&[&first, &wildcard, &exact]);
    assert_eq!(chosen(&certificates, Some("api.example.com")), der(&exact));
    assert_eq!(chosen(&certificates, Some("www.example.com")), der(&wildcard));
    assert_eq!(chosen(&certificates, Some("unknown.test")), der(&first));
    assert_eq!(chosen(&certificates, None), der(&first));
}

#[test]
fn a_wildcard_covers_exactly_one_label() {
    let (first, wildcard) = (made(&["first.test"]), made(&["*.example.com"]));
    let certificates = loaded(&[&first, &wildcard]);
    assert_eq!(chosen(&certificates, Some("a.b.example.com")), der(&first));
    assert_eq!(chosen(&certificates, Some("example.com")), der(&first));
    assert_eq!(chosen(&certificates, Some("com")), der(&first));
}

#[test]
fn names_are_compared_without_case() {
    let (first, named) = (made(&["first.test"]), made(&["API.Example.com"]));
    let certificates = loaded(&[&first, &named]);
    assert_eq!(chosen(&certificates, Some("api.example.com")), der(&named));
    assert_eq!(chosen(&certificates, Some("Api.Example.COM")), der(&named));
}

#[test]
fn configured_names_replace_those_of_the_certificate() {
    let (first, named) = (made(&["first.test"]), made(&["in-the-certificate.test"]));
    let certificates = Certificates::new();
    let pems = [pem(&first), named_pem(&["configured.test"], &named)];
    certificates.load_pem(&pems).expect("usable");
    assert_eq!(chosen(&certificates, Some("configured.test")), der(&named));
    assert_eq!(chosen(&certificates, Some("in-the-certificate.test")), der(&first));
}

#[test]
fn without_certificates_a_handshake_fails() {
    let certificates = Arc::new(Certificates::new());
    assert!(certificates.is_empty());
    let server = Arc::new(server_config(certificates));
    let client = client(&[&made(&["localhost"])], &rustls::version::TLS13, Resumption::disabled());
    assert!(handshake(&client, &server, "localhost").is_err());
}

#[test]
fn a_load_that_fails_keeps_the_certificates_in_force() {
    let (old, new) = (made(&["api.test"]), made(&["api.test"]));
    let certificates = loaded(&[&old]);
    let broken = CertificatePem { key: b"no PEM".to_vec(), ..pem(&new) };
    assert!(certificates.load_pem(&[pem(&new), broken]).is_err());
    assert_eq!(chosen(&certificates, Some("api.test")), der(&old));
    certificates.load_pem(&[pem(&new)]).expect("usable");
    assert_eq!(chosen(&certificates, Some("api.test")), der(&new));
}

#[test]
fn certificates_of_domain_names_stand_beside_those_of_files() {
    let (first, exact, wildcard) =
        (made(&["first.test"]), made(&["both.test"]), made(&["*.wild.test"]));
    let certificates = loaded(&[&first, &exact, &wildcard]);
    let (both, own, under) = (made(&["both.test"]), made(&["a.wild.test"]), made(&["*.own.test"]));
    let domains = [
        named_pem(&["both.test"], &both),
        named_pem(&["A.wild.test"], &own),
        named_pem(&["*.own.test"], &under),
    ];
    certificates.load_domains(&domains);
    assert_eq!(chosen(&certificates, Some("both.test")), der(&exact));
    // The exact name is nearer than the files' wildcard.
    assert_eq!(chosen(&certificates, Some("a.wild.test")), der(&own));
    assert_eq!(chosen(&certificates, Some("b.wild.test")), der(&wildcard));
    assert_eq!(chosen(&certificates, Some("b.own.test")), der(&under));
    assert_eq!(chosen(&certificates, Some("unknown.test")), der(&first));

    // Neither set touches the other.
    certificates.load_pem(&[pem(&first)]).expect("usable");
    assert_eq!(chosen(&certificates, Some("both.test")), der(&both));
    certificates.load_domains(&[]);
    assert_eq!(chosen(&certificates, Some("both.test")), der(&first));
}

#[test]
fn a_domain_name_whose_certificate_is_broken_does_not_hold_up_the_others() {
    let (broken, good) = (made(&["broken.test"]), made(&["good.test"]));
    let certificates = Certificates::new();
    let broken = CertificatePem { key: pem(&good).key, ..named_pem(&["broken.test"], &broken) };
    certificates.load_domains(&[broken, named_pem(&["good.test"], &good)]);
    assert_eq!(chosen(&certificates, Some("broken.test")), None);
    assert_eq!(chosen(&certificates, Some("good.test")), der(&good));
    // Nobody gets it who didn't ask for it.
    assert_eq!(chosen(&certificates, None), None);
    assert!(!certificates.is_empty());
}

#[test]
fn a_certificate_in_memory_does_not_print_its_key() {
    let printed = format!("{:?}", named_pem(&["a.test"], &made(&["a.test"])));
    assert_eq!(printed, "CertificatePem { names: [\"a.test\"], .. }");
}

#[test]
fn files_are_read_and_named_in_errors() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &[u8]| {
        let path = directory.path().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(text)).expect("a file");
        path
    };
    let certificate = made(&["api.test"]);
    let CertificatePem { certificate: certificate_pem, key: key_pem, .. } = pem(&certificate);
    let files = CertificateFiles {
        names: Vec::new(),
        certificate: write("tls.crt", &certificate_pem),
        key: write("tls.key", &key_pem),
    };
    let certificates = Certificates::new();
    certificates.load(std::slice::from_ref(&files)).expect("usable");
    assert_eq!(chosen(&certificates, Some("api.test")), der(&certificate));

    let missing = CertificateFiles { key: directory.path().join("missing.key"), ..files.clone() };
    let error = certificates.load(&[missing]).expect_err("a missing file").to_string();
    assert!(
        error.contains("missing.key: can't be read: No such file") && !error.contains('\n'),
        "{error}"
    );

    // Certificate and key in one file.
    let both = write("both.pem", &[key_pem, certificate_pem].concat());
    let both = CertificateFiles { names: Vec::new(), certificate: both.clone(), key: both };
    certificates.load(&[both]).expect("usable");
}

#[test]
fn an_unusable_certificate_says_what_is_wrong_in_one_line() {
    let (one, other) = (made(&["one.test"]), made(&["other.test"]));
    let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    let cut = &certificate[..certificate.len() / 2];
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let garbage_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let cases = [
        (error_of(&[], &key, &key), "holds no certificate"),
        (error_of(&[], "", &key), "holds no certificate"),
        (error_of(&[], &certificate, &certificate), "holds no private key"),
        (
            error_of(&[], &certificate, &other.signing_key.serialize_pem()),
            "isn't the one of the certificate",
        ),
        (error_of(&[], cut, &key), "has no END line"),
        (error_of(&[], garbage, &key), "certificate can't be read"),
        (error_of(&[], &certificate, garbage_key), "private key can't be used"),
        (error_of(&["*"], &certificate, &key), "\"*\" isn't a name"),
        (error_of(&["a.*.test"], &certificate, &key), "isn't a name"),
        (error_of(&[""], &certificate, &key), "isn't a name"),
    ];
    for (error, expected) in cases {
        assert!(
            error.contains(expected) && error.starts_with("certificate ") && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn encrypted_keys_of_openssl_are_recognised() {
    let directory = tempfile::tempdir().expect("a directory");
    let openssl = |arguments: &str| {
        let status = std::process::Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory.path())
            .stderr(std::process::Stdio::null())
            .status();
        // Debian's rustls users needn't have the command; then there is nothing to compare with.
        status.is_ok_and(|status| status.success())
    };
    if !openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout plain.key -out tls.crt -subj /CN=x -addext subjectAltName=DNS:x.test -days 2",
    ) {
        return;
    }
    assert!(openssl("pkcs8 -topk8 -in plain.key -out pkcs8.key -passout pass:secret"));
    assert!(openssl("rsa -aes128 -traditional -in plain.key -out pkcs1.key -passout pass:secret"));
    let load = |key: &str| {
        let path = |name: &str| Path::new(directory.path()).join(name);
        Certificates::new().load(&[CertificateFiles {
            names: Vec::new(),
            certificate: path("tls.crt"),
            key: path(key),
        }])
    };
    load("plain.key").expect("usable");
    for key in ["pkcs8.key", "pkcs1.key"] {
        let error = load(key).expect_err("an encrypted key").to_string();
        assert!(error.contains(key) && error.contains("is encrypted"), "{error}");
    }
}

#[test]
fn an_expired_certificate_is_still_served() {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["old.test".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = params.self_signed(&key).expect("a certificate");
    let expired = CertificatePem {
        names: Vec::new(),
        certificate: expired.pem().into(),
        key: key.serialize_pem().into(),
    };
    Certificates::new().load_pem(&[expired]).expect("usable");
}

#[test]
fn handshakes_agree_on_http2_and_the_certificate_of_the_name() {
    let (first, other) = (made(&["first.test"]), made(&["other.test"]));
    let server = Arc::new(server_config(loaded(&[&first, &other])));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = client(&[&first, &other], version, Resumption::disabled());
        for name in ["first.test", "other.test"] {
            let (_, connection) = handshake(&client, &server, name).expect("a handshake");
            assert_eq!(connection.protocol_version(), Some(version.version));
            assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
        }
    }
}

#[test]
fn sessions_are_resumed_in_tls_1_2_and_1_3() {
    let certificate = made(&["localhost"]);
    let server = Arc::new(server_config(loaded(&[&certificate])));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = client(
            &[&certificate],
            version,
            Resumption::store(Arc::new(ClientSessionMemoryCache::new(8))),
        );
        let kinds: Vec<_> = (0..3)
            .map(|_| {
                handshake(&client, &server, "localhost").expect("a handshake").1.handshake_kind()
            })
            .collect();
        assert!(
            matches!(
                kinds[0],
                Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
            ),
            "{kinds:?}"
        );
        assert_eq!(kinds[1..], [Some(HandshakeKind::Resumed); 2], "{:?}", version.version);
    }
}

#[test]
fn old_versions_and_early_data_are_off() {
    let config = server_config(Arc::new(Certificates::new()));
    assert_eq!(config.max_early_data_size, 0);
    assert!(config.ticketer.enabled());
    let suites = &config.crypto_provider().cipher_suites;
    assert!(suites.iter().all(|suite| matches!(
        suite.version().version,
        ProtocolVersion::TLSv1_2 | ProtocolVersion::TLSv1_3
    )));
}

/// `cargo test --release -- tls::tests::measure_tickets --exact --nocapture` prints what the number
/// of tickets costs; the assertion only keeps the measurement honest.
#[test]
fn measure_tickets() {
    let rounds = if cfg!(debug_assertions) { 2 } else { 400 };
    let certificate = made(&["localhost"]);
    let client = client(&[&certificate], &rustls::version::TLS13, Resumption::disabled());
    for tickets in [0, 1, 2, 1, 2, 0] {
        let mut config = server_config(loaded(&[&certificate]));
        config.send_tls13_tickets = tickets;
        let server = Arc::new(config);
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            let (_, connection) = handshake(&client, &server, "localhost").expect("a handshake");
            assert!(!connection.is_handshaking());
        }
        println!(
            "{tickets} tickets: {:?} for client and server together",
            start.elapsed() / rounds
        );
    }
}
