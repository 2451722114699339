//! TestInvokeAuthorizer with plugins.

use serde_json::{Value, json};
use tollgate_tests::{Api, ManagementClient, Serve, mock};

use super::{ServePlugins, entry, example_file};

/// Makes an authorizer that is not used by any method, and tests it.
fn test(management: &ManagementClient, api_id: &str, uri: &str, headers: Value) -> Value {
    let authorizers = format!("/restapis/{api_id}/authorizers");
    let made = management.post(
        &authorizers,
        &json!({
            "name": "guard", "type": "REQUEST", "authorizerUri": uri,
            "identitySource": "method.request.header.x-api-key",
        }),
    );
    let path = format!("{authorizers}/{}", made["id"].as_str().expect("an id"));
    let answer = management.post(&path, &json!({ "headers": headers }));
    management.delete(&path);
    answer
}

#[test]
fn an_authorizer_is_tested_with_the_plugin_that_stands_for_it() {
    let file = example_file("api-key-authorizer", "keys.csv");
    let keys = entry("keys", "api-key-authorizer", &format!("configuration_file: '{file}'"));
    let gateway =
        Serve::new(Api::new().route("GET /", mock(200, "ok"))).managed().plugins(&[keys]).start();
    let management = gateway.management_client();
    let api_id = management.import(Api::new().route("GET /", mock(200, "ok")));
    let test = |uri: &str, headers| test(&management, &api_id, uri, headers);
    let log = |answer: &Value| answer["log"].as_str().expect("a log").to_owned();

    let alice = test("plugin:keys", json!({ "x-api-key": "alices-example-key" }));
    // As AWS documents it for an authorizer that succeeded.
    assert_eq!(alice["clientStatus"], 0, "{alice}");
    assert_eq!(
        (&alice["principalId"], &alice["claims"]),
        (&json!("alice"), &json!({ "tier": "gold" }))
    );
    let policy: Value = serde_json::from_str(alice["policy"].as_str().unwrap()).expect("JSON");
    assert_eq!(policy["Statement"][0]["Effect"], "Allow");
    assert!(log(&alice).contains(" : Successfully completed authorizer execution\n"), "{alice}");
    assert!(!log(&alice).contains("alices-example-key"), "{alice}");

    let mallory = test("plugin:keys", json!({ "x-api-key": "mallorys" }));
    assert_eq!((&mallory["clientStatus"], mallory.get("policy")), (&json!(403), None));
    assert_eq!(test("plugin:keys", json!({}))["clientStatus"], 401);
    let function = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
                    arn:aws:lambda:us-east-1:000000000000:function:keys/invocations";
    let function = test(function, json!({ "x-api-key": "a" }));
    assert_eq!(function["clientStatus"], 500);
    assert!(log(&function).contains("no plugin stands for this authorizer"), "{function}");
}
