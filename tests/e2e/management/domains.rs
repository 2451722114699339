//! The certificates of custom domain names, as TLS clients see them.

use serde_json::{Value, json};
use tollgate_tests::{
    Api, Gateway, Http1, Issued, ManagementClient, Serve, TlsOptions, eventually, get, mock,
};

fn upload(issued: &Issued, mut more: Value) -> Value {
    more["certificateName"] = json!("own");
    more["certificateBody"] = json!(issued.certificate);
    more["certificatePrivateKey"] = json!(issued.key);
    more["endpointConfiguration"] = json!({ "types": ["EDGE"] });
    more
}

/// Makes a domain name and maps an API to it.
fn create(management: &ManagementClient, name: &str, issued: &Issued, api_id: &str) {
    let path = format!("/domainnames/{name}");
    management.post("/domainnames", &upload(issued, json!({ "domainName": name })));
    let mapping = json!({ "restApiId": api_id, "stage": "prod" });
    management.post(&format!("{path}/basepathmappings"), &mapping);
}

fn certificate(gateway: &Gateway, name: &str) -> Vec<u8> {
    Http1::connect_tls(gateway.https, &TlsOptions::new().name(name)).certificate()
}

#[track_caller]
fn shows(gateway: &Gateway, name: &str, issued: &Issued) {
    eventually(&format!("{name} has its certificate"), || {
        (certificate(gateway, name) == issued.der()).then_some(())
    });
}

fn calls(gateway: &Gateway, name: &str) -> (u16, String) {
    let mut client = Http1::connect_tls(gateway.https, &TlsOptions::new().name(name));
    client.call(get("/").host(name)).summary()
}

#[test]
fn a_domain_names_certificate_is_served_from_its_creation_to_its_deletion() {
    let (files, own, wild) = (
        Issued::of(&["files.example"]),
        Issued::of(&["api.example.com"]),
        Issued::of(&["*.wild.example"]),
    );
    let gateway =
        Serve::new(Api::new().route("GET /", mock(200, "of a file"))).managed().tls(&files).start();
    let management = gateway.management_client();
    let api = Api::new().route("GET /", mock(200, "by its own name"));
    let api_id = management.import(api);
    management.deploy(&api_id, &json!({ "stageName": "prod" }));

    create(&management, "api.example.com", &own, &api_id);
    create(&management, "*.wild.example", &wild, &api_id);
    shows(&gateway, "api.example.com", &own);
    shows(&gateway, "a.wild.example", &wild);
    assert_eq!(certificate(&gateway, "other.example"), files.der());
    for name in ["api.example.com", "a.wild.example"] {
        eventually("the mapping is served", || {
            (calls(&gateway, name) == (200, "by its own name".to_owned())).then_some(())
        });
    }

    // The files' certificate is renewed; the store's stays.
    let renewed = Issued::of(&["files.example"]);
    gateway.replace_file("tls.key", &renewed.key);
    gateway.replace_file("tls.pem", &renewed.certificate);
    shows(&gateway, "files.example", &renewed);
    assert_eq!(certificate(&gateway, "api.example.com"), own.der());

    // Another process finds it in the store.
    let gateway = Serve::start_again(gateway.kill());
    shows(&gateway, "api.example.com", &own);
    gateway.management_client().delete("/domainnames/api.example.com");
    shows(&gateway, "api.example.com", &renewed);
    shows(&gateway, "a.wild.example", &wild);
}
