//! Exchanges and heads for the tests of this phase.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_model::api::ApiId;
use tollgate_model::compile::{PathParameters, StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};
use tollgate_plugin_host::PluginSlot;

use crate::config::Visibility;
use crate::exchange::{Client, Exchange, TlsDetails};
use crate::head::{Field, Known, RequestHead, Span};
use crate::metrics::Metrics;
use crate::snapshot::{Release, StageRuntime};

pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    let mut append = |text: &str| {
        let start = head.bytes.len();
        head.bytes.extend_from_slice(text.as_bytes());
        Span::new(start..head.bytes.len())
    };
    head.method = append(method);
    head.target = append(target);
    head.host = Some(append("api.example.com:8443"));
    for (name, value) in fields {
        let field =
            Field { name: append(name), value: append(value), known: Known::of(name.as_bytes()) };
        head.fields.push(field);
    }
    head
}

/// A stage `prod` of one API with `/pets/{id}` for every method, with this authorizer where
/// `security` wants it.
pub fn stage(
    security: &str,
    authorizer: &str,
    plugins: &BTreeMap<String, PluginSlot>,
) -> Arc<StageRuntime> {
    stage_with("", security, authorizer, plugins)
}

/// The same with something more in the definition, which ends its line.
pub fn stage_with(
    more: &str,
    security: &str,
    authorizer: &str,
    plugins: &BTreeMap<String, PluginSlot>,
) -> Arc<StageRuntime> {
    let text = format!(
        "openapi: 3.0.1
info: {{title: t, version: '1'}}
x-amazon-apigateway-api-key-source: AUTHORIZER
{more}paths:
  /pets/{{id}}:
    x-amazon-apigateway-any-method: {{responses: {{}}, security: [{security}], x-amazon-apigateway-integration: {{type: mock}}}}
components:
  securitySchemes:
    who: {{type: apiKey, in: header, name: Authorization, x-amazon-apigateway-authtype: custom, x-amazon-apigateway-authorizer: {{{authorizer}}}}}
"
    );
    let imported = import(&text, &ImportOptions::default()).expect("a definition");
    let settings = StageSettings {
        api_id: ApiId("a1b2c3d4e5".to_owned()),
        stage_name: "prod".to_owned(),
        deployment_id: "d".to_owned(),
        account_id: "111122223333".to_owned(),
        stage_variables: BTreeMap::from([("tenant".to_owned(), "blue".to_owned())]),
        ..StageSettings::default()
    };
    let compiled = compile(&imported.api, &settings).expect("compiles").stage;
    Arc::new(StageRuntime::new(compiled, Release::Sole, &Metrics::new(), Vec::new(), plugins))
}

/// An exchange whose request was located and routed.
pub fn exchange(head: &RequestHead, stage: &Arc<StageRuntime>) -> Exchange {
    let mut exchange = Exchange::new(Arc::new(Client {
        source_ip: "192.0.2.1".into(),
        addresses: Some(([192, 0, 2, 1], 4000).into()).zip(Some(([192, 0, 2, 9], 443).into())),
        listener_port: 443,
        visibility: Visibility::Public,
        tls: Some(TlsDetails {
            version: "TLSv1.3",
            cipher_suite: "TLS_AES_128_GCM_SHA256",
            server_name: Some("api.example.com".into()),
        }),
        forwarding: None,
        penalised: Default::default(),
        given_context: Default::default(),
    }));
    exchange.begin();
    let path = String::from_utf8_lossy(head.path()).into_owned();
    exchange.path = format!("/prod{path}");
    let parameters = &mut PathParameters::default();
    exchange.route = stage.compiled.router.find(head.method(), &path, parameters);
    exchange.resource_path.clone_from(&path);
    exchange.stage = Some(stage.clone());
    exchange
}
