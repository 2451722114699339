//! Which API keys are good for which method.

use serde_json::json;
use tollgate_tests::{Api, Dev, Gateway, Serve, eventually, get, mock, tollgate};

use super::{ANNA, BERT, api, call, keyed, keys, log, serve};
use crate::support::assert_forbidden;

#[test]
fn a_key_of_a_plan_with_the_stage_opens_the_method_and_is_told() {
    let gateway = serve(&keys("")).start();
    let response = call(&gateway, keyed("/prod/keyed", ANNA));
    assert_eq!(response.summary(), (200, format!("{ANNA} anna000000")));
    assert_eq!(call(&gateway, get("/prod/open")).text(), "open");
    assert_eq!(log(&gateway, 2), ["200 - - -", "200 - - anna000000"]);
}

#[test]
fn whatever_is_wrong_with_a_key_the_answer_is_403() {
    let yaml = format!(
        "usage_plans:\n\
         - {{id: gold00, api_stages: [{{api_id: petstore01, stage: prod}}]}}\n\
         - {{id: silver, api_stages: [{{api_id: petstore01, stage: test}}]}}\n\
         api_keys:\n\
         - {{value: {ANNA}, enabled: false, usage_plans: [gold00]}}\n\
         - {{value: {BERT}, usage_plans: [silver]}}\n\
         - {{value: in-no-plan-at-all-000}}\n"
    );
    let gateway = serve(&yaml).api("petstore01", "test", api()).start();
    assert_forbidden(&call(&gateway, get("/prod/keyed")));
    for key in [ANNA, BERT, "in-no-plan-at-all-000", "unknown-key-000000000", "", "short"] {
        assert_forbidden(&call(&gateway, keyed("/prod/keyed", key)));
    }
    assert_eq!(call(&gateway, keyed("/test/keyed", BERT)).status, 200);
    // A longer key than one that is known isn't it.
    assert_forbidden(&call(&gateway, keyed("/test/keyed", &format!("{BERT}0"))));
    let line = "403 - INVALID_API_KEY -";
    assert_eq!(log(&gateway, 9).iter().filter(|it| *it == line).count(), 8);
}

#[test]
fn a_key_may_be_in_several_plans_and_counts_in_that_of_the_stage() {
    let yaml = format!(
        "usage_plans:\n\
         - {{id: gold00, api_stages: [{{api_id: petstore01, stage: prod}}], quota: {{limit: 1, period: day}}}}\n\
         - {{id: silver, api_stages: [{{api_id: petstore01, stage: test}}], quota: {{limit: 2, period: day}}}}\n\
         api_keys: [{{value: {ANNA}, usage_plans: [gold00, silver]}}]\n"
    );
    let gateway = serve(&yaml).api("petstore01", "test", api()).start();
    let statuses =
        |path: &str| (0..3).map(|_| call(&gateway, keyed(path, ANNA)).status).collect::<Vec<_>>();
    assert_eq!(statuses("/prod/keyed"), [200, 429, 429]);
    assert_eq!(statuses("/test/keyed"), [200, 200, 429]);
}

#[test]
fn keys_come_from_a_file_that_is_read_again_when_it_changes() {
    let csv = |lines: &str| format!("Key,name,Enabled,usagePlanIds\n{lines}");
    let yaml = "usage_plans: [{id: gold00, api_stages: [{api_id: petstore01, stage: prod}]}]\n\
                api_keys_file: keys.csv\n";
    let gateway = serve(yaml).file("keys.csv", csv(&format!("{ANNA},Anna,true,gold00\n"))).start();
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    assert_forbidden(&call(&gateway, keyed("/prod/keyed", BERT)));

    gateway.replace_file(
        "keys.csv",
        csv(&format!("{BERT},Bert,TRUE,\"gold00\"\n{ANNA},Anna,false,\n")),
    );
    eventually("Bert's key is good", || {
        (call(&gateway, keyed("/prod/keyed", BERT)).status == 200).then_some(())
    });
    assert_forbidden(&call(&gateway, keyed("/prod/keyed", ANNA)));

    // A file that can't be used leaves everything as it was, and says why without the keys.
    gateway.replace_file("keys.csv", csv(&format!("{BERT},Bert,maybe,gold00\n")));
    let line = gateway.process.stderr_line("what is wrong", |line| {
        line.contains("keys.csv:2: Enabled is").then(|| line.to_owned())
    });
    assert!(!line.contains(BERT), "{line}");
    assert_eq!(call(&gateway, keyed("/prod/keyed", BERT)).status, 200);
}

#[test]
fn generated_keys_can_be_used_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["api-key", "generate", "-n", "3", "--name", "a, b", "--usage-plan", "gold00"];
    let finished = tollgate(folder.path(), &arguments);
    assert_eq!(finished.code, 0, "{finished:?}");
    let yaml = "usage_plans: [{id: gold00, api_stages: [{api_id: petstore01, stage: prod}]}]\n\
                api_keys_file: keys.csv\n";
    let gateway = serve(yaml).file("keys.csv", &finished.stdout).start();
    let values: Vec<&str> =
        finished.stdout.lines().skip(1).map(|line| line.split(',').nth(2).unwrap_or("")).collect();
    assert_eq!(values.len(), 3);
    for value in values {
        assert_eq!(value.len(), 40, "{}", finished.stdout);
        assert_eq!(call(&gateway, keyed("/prod/keyed", value)).status, 200);
    }
}

/// Behind the example authorizer, which says `alices-usage-plan-key-0001` for Alice and nothing
/// for Bob.
fn behind_an_authorizer() -> Gateway {
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
    let api = Api::new()
        .with("x-amazon-apigateway-api-key-source", json!("AUTHORIZER"))
        .with(
            "components",
            json!({ "securitySchemes": {
                "api_key": { "type": "apiKey", "name": "x-api-key", "in": "header" },
                "guard": {
                    "type": "apiKey", "name": "Authorization", "in": "header",
                    "x-amazon-apigateway-authtype": "custom",
                    "x-amazon-apigateway-authorizer": {
                        "type": "request", "authorizerUri": "plugin:keys",
                        "identitySource": "method.request.header.x-api-key",
                    },
                },
            } }),
        )
        .method(
            "GET /keyed",
            json!({
                "security": [{ "guard": [], "api_key": [] }],
                "x-amazon-apigateway-integration": mock(200, "$context.identity.apiKeyId"),
            }),
        );
    Serve::new(api)
        .with(&format!(
            "plugins: [{{name: keys, file: '{plugins}/dist/api-key-authorizer.wasm', \
             configuration_file: '{plugins}/examples/api-key-authorizer/example/keys.csv'}}]\n\
             usage_plans: [{{id: gold00, api_stages: [{{api_id: petstore01, stage: prod}}], \
             quota: {{limit: 2, period: day}}}}]\n\
             api_keys: [{{value: alices-usage-plan-key-0001, id: alice00000, usage_plans: [gold00]}}]\n"
        ))
        .start()
}

#[test]
fn an_authorizer_can_say_which_key_it_is() {
    let gateway = behind_an_authorizer();
    for _ in 0..2 {
        let response = call(&gateway, keyed("/prod/keyed", "alices-example-key"));
        assert_eq!(response.summary(), (200, "alice00000".into()));
    }
    super::assert_quota_exceeded(&call(&gateway, keyed("/prod/keyed", "alices-example-key")));
    assert_forbidden(&call(&gateway, keyed("/prod/keyed", "bobs-example-key")));
}

#[test]
fn dev_takes_keys_from_the_command_line() {
    let gateway = Dev::new(api()).argument("--api-key").argument(ANNA).start();
    assert_eq!(gateway.call(keyed("/keyed", ANNA)).status, 200);
    assert_forbidden(&gateway.call(keyed("/keyed", BERT)));
    let without = Gateway::dev(api());
    without.process.stderr_line("where keys come from", |line| {
        line.contains("methods that want an API key answer 403 (--api-key gives one)").then_some(())
    });
}

#[test]
fn a_stage_without_a_plan_is_named_when_it_is_checked() {
    let folder = Serve::new(api()).write();
    let finished = tollgate(folder.path(), &["check", "--config", "tollgate.yaml"]);
    assert_eq!(finished.code, 0, "{finished:?}");
    let warning = "apis[0]: GET /keyed, GET /other of stage prod answer 403, for no usage plan has \
                   the stage";
    assert!(finished.stdout.contains(warning), "{}", finished.stdout);
}
