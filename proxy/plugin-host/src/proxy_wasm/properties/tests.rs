use std::sync::Arc;

use super::*;
use crate::{ClientCertificate, limits};

/// An exchange over mutual TLS from 192.0.2.1, perhaps through a proxy.
struct Info {
    peer: &'static str,
    certificate: Option<String>,
}

impl RequestInfo for Info {
    fn request_id(&self) -> &str {
        "id-1"
    }
    fn api_id(&self) -> &str {
        "api"
    }
    fn stage(&self) -> &str {
        "prod"
    }
    fn resource(&self) -> &str {
        "/pets/{id}"
    }
    fn method_arn(&self) -> String {
        String::new()
    }
    fn source_address(&self) -> &str {
        "192.0.2.1"
    }
    fn peer(&self) -> Option<SocketAddr> {
        self.peer.parse().ok()
    }
    fn local(&self) -> Option<SocketAddr> {
        "[2001:db8::1]:443".parse().ok()
    }
    fn protocol(&self) -> &'static str {
        "HTTP/2"
    }
    fn tls_version(&self) -> Option<&str> {
        Some("TLSv1.3")
    }
    fn server_name(&self) -> Option<&str> {
        None
    }
    fn client_certificate(&self) -> Option<ClientCertificate<'_>> {
        let none = || "".into();
        Some(ClientCertificate {
            pem: self.certificate.as_deref()?.into(),
            subject: "CN=client".into(),
            issuer: none(),
            serial_number: none(),
            not_before: none(),
            not_after: none(),
        })
    }
    fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001)
    }
    fn each_path_parameter(&self, _: &mut dyn FnMut(&str, &str)) {}
    fn each_stage_variable(&self, _: &mut dyn FnMut(&str, &str)) {}
    fn stage_variable(&self, _: &str) -> Option<&str> {
        None
    }
    fn context(&self, _: &str) -> Option<String> {
        None
    }
}

fn exchange() -> Arc<Http> {
    let http = Http::new(Info { peer: "192.0.2.1:5000", certificate: None }, Headers::default());
    let mut state = http.state.lock();
    for (name, value) in [
        (":method", "POST"),
        (":path", "/pets/1?a=b?c"),
        (":authority", "api.example"),
        (":scheme", "https"),
        ("user-agent", "test"),
        ("x-many.dots", "1"),
        ("x-many.dots", "2"),
    ] {
        state.request_headers.push(name.as_bytes(), value.as_bytes());
    }
    state.request_size = 10;
    drop(state);
    http
}

fn read(http: Option<&Http>, path: &str) -> Option<Vec<u8>> {
    let settings = PluginSettings { root_id: "root".to_owned(), ..PluginSettings::default() };
    let mut out = b"left over".to_vec();
    let found = look_up(http, "filter", &settings, path.as_bytes(), &mut out);
    assert!(found || out.is_empty(), "{path}");
    found.then_some(out)
}

#[track_caller]
fn check_text(http: &Http, path: &str, expected: Option<&str>) {
    for path in [path.to_owned(), path.replace('.', "\0"), path.replace('.', "\0") + "\0"] {
        let found = read(Some(http), &path).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(found.as_deref(), expected, "{path:?}");
    }
}

#[track_caller]
fn check_number(http: &Http, path: &str, expected: u64) {
    assert_eq!(read(Some(http), path), Some(expected.to_le_bytes().to_vec()), "{path}");
}

#[test]
fn properties_of_the_request_have_envoys_encodings() {
    let http = exchange();
    for (path, value) in [
        ("request.path", Some("/pets/1?a=b?c")),
        ("request.url_path", Some("/pets/1")),
        ("request.query", Some("a=b?c")),
        ("request.host", Some("api.example")),
        ("request.method", Some("POST")),
        ("request.scheme", Some("https")),
        ("request.protocol", Some("HTTP/2")),
        ("request.id", Some("id-1")),
        ("request.useragent", Some("test")),
        ("request.referer", None),
        ("request.unknown", None),
        ("request.path.more", None),
        ("request", None),
        ("route_name", Some("/pets/{id}")),
        ("plugin_name", Some("filter")),
        ("plugin_root_id", Some("root")),
        ("plugin_vm_id", Some("filter")),
        ("plugin_vm_id.x", None),
        ("cluster_name", None),
        ("metadata.filter_metadata.a.b", None),
        ("", None),
    ] {
        check_text(&http, path, value);
    }
    check_number(&http, "request.time", 1_700_000_000_000_000_001);
    check_number(&http, "request.size", 10);
    let head = http.state.lock().request_headers.size() as u64;
    check_number(&http, "request.total_size", 10 + head);
    http.state.lock().request_headers.append(b"content-length", b"99");
    check_number(&http, "request.size", 99);
    let duration = read(Some(&http), "request.duration").unwrap();
    assert!(u64::from_le_bytes(duration.try_into().unwrap()) > 1_000_000_000);
}

#[test]
fn headers_are_read_by_name_with_all_values_or_as_a_map() {
    let http = exchange();
    for path in ["request.headers.x-many.dots", "request\0headers\0X-Many.Dots"] {
        assert_eq!(read(Some(&http), path).as_deref(), Some(&b"1,2"[..]));
    }
    check_text(&http, "request.headers.absent", None);
    let map = read(Some(&http), "request.headers").unwrap();
    assert_eq!(maps::decode(&map).unwrap().len(), 7);
}

#[test]
fn a_response_has_properties_once_it_is_there() {
    let http = exchange();
    assert_eq!(read(Some(&http), "response.code"), None);
    assert_eq!(read(Some(&http), "response.size"), None);
    let mut state = http.state.lock();
    state.response_headers.push(b":status", b"404");
    state.response_headers.push(b"a", b"b");
    state.response_trailers.push(b"grpc-status", b"5");
    state.response_size = 7;
    drop(state);
    check_number(&http, "response.code", 404);
    check_number(&http, "response.size", 7);
    check_number(&http, "response.total_size", 7 + 10 + 2 + 12);
    check_number(&http, "response.grpc_status", 5);
    check_text(&http, "response.headers.a", Some("b"));
    check_text(&http, "response.trailers.grpc-status", Some("5"));
    check_text(&http, "response.flags", None);
}

#[test]
fn both_ends_of_the_connection_are_addresses_with_ports() {
    let http = exchange();
    check_text(&http, "destination.address", Some("[2001:db8::1]:443"));
    check_number(&http, "destination.port", 443);
    assert_eq!(read(Some(&http), "source\0address").unwrap(), b"192.0.2.1:5000");
    check_number(&http, "source.port", 5000);
    let proxied = Http::new(Info { peer: "10.0.0.1:5000", certificate: None }, Headers::default());
    check_text(&proxied, "source.address", Some("192.0.2.1:0"));
    check_number(&proxied, "source.port", 0);
    let mapped =
        Http::new(Info { peer: "[::ffff:192.0.2.1]:9", certificate: None }, Headers::default());
    check_text(&mapped, "source.address", Some("192.0.2.1:9"));
}

#[test]
fn the_connections_certificate_is_read() {
    let http = exchange();
    check_text(&http, "connection.mtls", Some("\0"));
    check_text(&http, "connection.tls_version", Some("TLSv1.3"));
    check_text(&http, "connection.requested_server_name", None);
    check_text(&http, "connection.subject_peer_certificate", None);
    let mut parameters = rcgen::CertificateParams::new(["client.example".to_owned()]).unwrap();
    let uri = "spiffe://example/client".try_into().unwrap();
    parameters.subject_alt_names.push(rcgen::SanType::URI(uri));
    let certificate = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let info = Info { peer: "192.0.2.1:1", certificate: Some(certificate.pem()) };
    let http = Http::new(info, Headers::default());
    check_text(&http, "connection.mtls", Some("\u{1}"));
    check_text(&http, "connection.subject_peer_certificate", Some("CN=client"));
    check_text(&http, "connection.dns_san_peer_certificate", Some("client.example"));
    check_text(&http, "connection.uri_san_peer_certificate", Some("spiffe://example/client"));
    let digest = read(Some(&http), "connection.sha256_peer_certificate_digest").unwrap();
    assert_eq!(digest.len(), 64);
    let info = Info { peer: "192.0.2.1:1", certificate: Some("no PEM".to_owned()) };
    let http = Http::new(info, Headers::default());
    check_text(&http, "connection.sha256_peer_certificate_digest", None);
}

#[test]
fn what_a_filter_sets_a_later_one_gets() {
    let http = exchange();
    set(&http, b"my.key", b"1").unwrap();
    set(&http, b"my.key", b"2").unwrap();
    set(&http, b"a\0b\0", b"").unwrap();
    assert_eq!(read(Some(&http), "my.key").unwrap(), b"2");
    assert_eq!(read(Some(&http), "a\0b").unwrap(), b"");
    assert_eq!(read(Some(&http), "my"), None);
    for provided in
        ["request.path", "request\0path", "plugin_name", "node", "metadata\0x", "", "\0"]
    {
        assert_eq!(set(&http, provided.as_bytes(), b"x"), Err(SetError::BadPath), "{provided:?}");
    }
    let large = vec![0; limits::EXCHANGE_VALUES];
    assert_eq!(set(&http, b"large", &large), Err(SetError::Full));
    assert_eq!(read(Some(&http), "large"), None);
    assert_eq!(read(Some(&http), "my.key").unwrap(), b"2");
}

#[test]
fn outside_of_an_exchange_there_is_only_the_plugin() {
    assert_eq!(read(None, "plugin_name").unwrap(), b"filter");
    assert_eq!(read(None, "listener_direction").unwrap(), [0; 8]);
    assert_eq!(read(None, "request.path"), None);
}
