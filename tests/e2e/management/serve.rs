//! The management API of `tollgate serve`: who may use it, what of its configuration is refused,
//! and how what it is told lives with what the configuration file says.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tollgate_auth::sigv4::AmzDate;
use tollgate_tests::{
    Api, Gateway, Http1, Http2, Issued, Load, ManagementClient, Process, Request, Response, Serve,
    Signature, binary, eventually, get, mock,
};

use crate::support::{assert_error, assert_forbidden};

fn version(text: &str) -> Api {
    Api::new().route("GET /", mock(200, text))
}

#[test]
fn only_requests_signed_with_a_key_of_the_configuration_are_carried_out() {
    let folder = Serve::new(version("")).managed().write();
    let path = folder.path().join("tollgate.yaml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("log: {format: json}", "log: {format: json, level: trace}");
    std::fs::write(&path, config).unwrap();
    let gateway = Serve::start_again(folder);
    let right = Signature::default();
    let unsigned = ManagementClient::new(gateway.management_api());
    let body = json!({ "name": "pets" }).to_string();
    let create = |signature: &Signature| {
        unsigned.clone().signed(signature.clone()).call("POST", "/restapis", body.clone())
    };

    for (signature, error_type, message) in [
        (
            Signature { secret: "another-secret".into(), ..right.clone() },
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        ),
        (
            Signature { access_key_id: "AKINOBODY00000001".into(), ..right.clone() },
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            // Somebody takes the one for the other.
            Signature { access_key_id: right.secret.clone(), ..right.clone() },
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            Signature { region: "eu-west-1".into(), ..right.clone() },
            "InvalidSignatureException",
            "Credential should be scoped to a valid region, not 'eu-west-1'. ",
        ),
        (
            Signature { age: Duration::from_secs(16 * 60), ..right.clone() },
            "InvalidSignatureException",
            "Signature expired: ",
        ),
    ] {
        assert_denied(&create(&signature), error_type, message);
    }
    let missing = unsigned.call("POST", "/restapis", body.clone());
    assert_denied(&missing, "MissingAuthenticationTokenException", "Missing Authentication Token");
    // What is signed is this request, and no other one.
    let signed = unsigned.clone().signed(right.clone()).request("POST", "/restapis", body.clone());
    let other = Request { body: json!({ "name": "hers" }).to_string().into(), ..signed };
    let denied = Http1::connect(gateway.management_api()).call(other);
    assert_denied(&denied, "InvalidSignatureException", "The request signature we calculated");

    assert_eq!(create(&right).status, 201);
    let apis = gateway.management_client().get("/restapis");
    assert_eq!(apis["item"].as_array().map(Vec::len), Some(1), "{apis}");

    let log = gateway.process.stderr();
    assert!(log.contains("request denied"), "{log}");
    assert!(log.contains(&right.access_key_id), "{log}");
    let access_log = std::fs::read_to_string(gateway.path("access.log")).unwrap_or_default();
    for text in [log, access_log, gateway.manage("/metrics").text()] {
        assert!(!text.contains(&right.secret), "{text}");
        assert!(!text.contains("Signature="), "{text}");
    }
}

#[track_caller]
fn assert_denied(response: &Response, error_type: &str, message: &str) {
    assert_eq!((response.status, response.header("x-amzn-ErrorType")), (403, Some(error_type)));
    let body = response.json();
    let found = body["message"].as_str().unwrap_or_default();
    assert!(found.starts_with(message), "{body}");
}

#[test]
fn with_tls_it_speaks_http_1_and_2_to_those_with_a_key_and_nothing_without() {
    let Signature { access_key_id, secret, .. } = Signature::default();
    let gateway = Serve::new(version(""))
        .certificate("tls", &Issued::of(&["localhost"]))
        .file("deployment.secret", secret)
        .with(&format!(
            "data_directory: data\nmanagement_api: {{address: '0.0.0.0:0', tls: true, access_keys: [{{id: {access_key_id}, secret_file: deployment.secret}}]}}"
        ))
        .start();
    let address = SocketAddr::from(([127, 0, 0, 1], gateway.management_api().port()));
    let unsigned = ManagementClient::new(address).tls();
    let denied = unsigned.call("GET", "/restapis", "");
    assert_denied(&denied, "MissingAuthenticationTokenException", "Missing Authentication Token");
    let signed = unsigned.signed(Signature::default());
    assert_eq!(signed.get("/restapis")["item"], json!([]));
    let request = signed.request("GET", "/restapis", "");
    let response = Http2::connect(address).call(request.clone());
    assert_eq!(response.json()["item"], json!([]));
    let mut plain = Http1::connect(address);
    plain.send(request.bytes());
    assert!(plain.try_response().is_err());
}

#[test]
fn what_is_wrong_with_its_configuration_is_said_in_one_line_with_its_place() {
    let key = "{id: AKIDEPLOYMENT0001, secret_file: deployment.secret}";
    let keys =
        |key: &str| format!("data_directory: data\nmanagement_api: {{access_keys: [{key}]}}");
    for (yaml, expected) in [
        (
            format!(
                "data_directory: data\nmanagement_api: {{address: '0.0.0.0:9081', access_keys: [{key}]}}"
            ),
            "tollgate.yaml:4: management_api.tls: is missing",
        ),
        (
            format!("data_directory: data\nmanagement_api: {{tls: true, access_keys: [{key}]}}"),
            "tollgate.yaml:4: management_api.tls: true, but there are no certificates",
        ),
        (keys(""), "tollgate.yaml:4: management_api.access_keys: has no entry"),
        (
            format!("management_api: {{access_keys: [{key}]}}"),
            "tollgate.yaml:3: management_api: needs a data_directory",
        ),
        (
            keys("{id: AKIDEPLOYMENT0001, secret_file: deployment.secret, secret_env: SECRET}"),
            "tollgate.yaml:4: management_api.access_keys[0]: needs one of secret_file and secret_env",
        ),
        (
            keys("{id: AKIDEPLOYMENT0001}"),
            "tollgate.yaml:4: management_api.access_keys[0]: needs one of secret_file and secret_env",
        ),
        (
            keys("{id: short, secret_file: deployment.secret}"),
            "tollgate.yaml:4: management_api.access_keys[0].id: \"short\" is no access key id",
        ),
        (
            keys(&format!("{key}, {key}")),
            "tollgate.yaml:4: management_api.access_keys[1].id: AKIDEPLOYMENT0001 is the id of another",
        ),
        (
            keys("{id: AKIDEPLOYMENT0001, secret_file: nowhere.secret}"),
            "tollgate.yaml: management_api.access_keys: nowhere.secret: cannot be read: ",
        ),
        (
            keys("{id: AKIDEPLOYMENT0001, secret_file: empty.secret}"),
            "tollgate.yaml: management_api.access_keys: empty.secret: holds no secret access key",
        ),
        (
            keys("{id: AKIDEPLOYMENT0001, secret_env: NO_SUCH_VARIABLE}"),
            "tollgate.yaml: management_api.access_keys: environment variable NO_SUCH_VARIABLE: ",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("deployment.secret", "a-secret-of-the-tests");
        write("empty.secret", "\n");
        let listeners = "listeners: [{address: '127.0.0.1:0'}]\nmanagement: 127.0.0.1:0\n";
        write("tollgate.yaml", &format!("{listeners}{yaml}\n"));
        let mut command = Command::new(binary());
        command.args(["serve", "--config", "tollgate.yaml"]).current_dir(folder.path());
        let mut process = Process::start(&mut command);
        assert_eq!(process.exit().code(), Some(1), "{yaml}");
        let said = eventually("it says why", || Some(process.stderr()).filter(|it| !it.is_empty()));
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(expected), "{said:?}, not {expected:?}");
        assert!(!said.contains("a-secret-of-the-tests"), "{said}");
    }
}

#[test]
fn apis_of_the_file_and_of_the_store_are_served_side_by_side_and_the_file_wins() {
    let gateway = Serve::new(version("file")).managed().start();
    let management = gateway.management_client();
    let id = management.import(version("store 1"));
    management.deploy(&id, &json!({}));
    let host = gateway.host_of(&id);
    let serves = |text: &str| {
        eventually(&format!("{text:?} is served"), || {
            (gateway.call(get("/prod").host(&host)).text() == text).then_some(())
        });
    };
    let file = || gateway.call(get("/prod").host(&gateway.default_host())).text();
    serves("store 1");
    assert_eq!(file(), "file");
    let apis = management.get("/restapis");
    assert_eq!(apis["item"].as_array().map(Vec::len), Some(1), "{apis}");
    assert_eq!(management.call("GET", "/restapis/petstore01", "").status, 404);

    // The file gets the store's stage.
    let before = std::fs::read_to_string(gateway.path("tollgate.yaml")).unwrap();
    gateway.replace_file("second.yaml", version("second file").text());
    let second = format!("apis:\n- {{definition: second.yaml, api_id: {id}, stage: prod}}\n");
    reload(&gateway, &before.replace("apis:\n", &second));
    serves("second file");
    gateway.process.stderr_line("that the file's is served", |line| {
        (line.contains("the configuration has this stage") && line.contains(&id)).then_some(())
    });
    management.done("PUT", &format!("/restapis/{id}?mode=overwrite"), version("store 2").text());
    management.deploy(&id, &json!({}));
    // A stage that only the store has shows that the deployment has been looked at.
    management.post(
        &format!("/restapis/{id}/stages"),
        &json!({ "stageName": "test", "deploymentId": newest(&management, &id) }),
    );
    eventually("the other stage is served", || {
        (gateway.call(get("/test").host(&host)).text() == "store 2").then_some(())
    });
    assert_eq!(gateway.call(get("/prod").host(&host)).text(), "second file");

    // And gives it back.
    reload(&gateway, &before);
    serves("store 2");
    assert_eq!(file(), "file");
    management.delete(&format!("/restapis/{id}/stages/prod"));
    eventually("it is gone", || {
        (gateway.call(get("/prod").host(&host)).status == 403).then_some(())
    });
    assert_eq!(gateway.call(get("/test").host(&host)).text(), "store 2");
}

/// The deployment of stage `prod`.
fn newest(management: &ManagementClient, id: &str) -> Value {
    management.get(&format!("/restapis/{id}/stages/prod"))["deploymentId"].take()
}

#[test]
fn after_a_restart_the_file_wins_too() {
    let gateway = Serve::new(version("file")).managed().start();
    let management = gateway.management_client();
    let id = management.import(version("store"));
    management.deploy(&id, &json!({}));
    let path = gateway.path("tollgate.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("api_id: petstore01", &format!("api_id: {id}"));
    std::fs::write(&path, text).unwrap();
    let gateway = Serve::start_again(gateway.kill());
    let response = gateway.call(get("/prod").host(&gateway.host_of(&id)));
    assert_eq!(response.text(), "file");
    gateway.process.stderr_line("that the file's is served", |line| {
        line.contains("the configuration has this stage").then_some(())
    });
}

/// Has the gateway read another configuration, and waits until it serves it.
fn reload(gateway: &Gateway, config: &str) {
    let reloads = |it: &Gateway| it.process.stderr().matches("\"message\":\"reloaded\"").count();
    let before = reloads(gateway);
    gateway.replace_file("tollgate.yaml", config);
    gateway.process.signal(libc::SIGHUP);
    eventually("it is reloaded", || (reloads(gateway) > before).then_some(()));
}

#[test]
fn a_reload_keeps_what_the_store_has() {
    let gateway = keyed_gateway();
    let keyed = Keyed::new(&gateway, &json!({ "quota": { "limit": 1_000_000, "period": "DAY" } }));
    keyed.served();
    let request = keyed.request(&keyed.value);
    let load = Load::start(gateway.http, 2, &request, |response| {
        assert_eq!(response.summary(), (200, "keyed".to_owned()));
    });
    let config = std::fs::read_to_string(gateway.path("tollgate.yaml")).unwrap();
    for number in 0..4 {
        let plan = format!("id: gold00, description: version {number}");
        reload(&gateway, &config.replace("id: gold00", &plan));
        load.more();
        assert_forbidden(&keyed.call("nobodys-key-000000000"));
    }
    load.finish();
    // What was used is not forgotten.
    assert!(keyed.used() > 0);
    keyed.management.patch(
        &format!("/apikeys/{}", keyed.key),
        &json!([{ "op": "replace", "path": "/enabled", "value": "false" }]),
    );
    eventually("the key is disabled", || (keyed.call(&keyed.value).status == 403).then_some(()));
}

#[test]
fn api_keys_of_the_store_are_enforced_beside_those_of_the_file() {
    let gateway = keyed_gateway();
    let keyed = Keyed::new(&gateway, &json!({ "quota": { "limit": 30, "period": "DAY" } }));
    let served = keyed.served();
    let file = |key: &str| {
        let host = gateway.default_host();
        gateway.call(get("/prod").host(&host).header("x-api-key", key)).status
    };
    assert_eq!([file(ANNA), file(&keyed.value)], [200, 403]);
    assert_eq!(gateway.call(get("/prod").host(&gateway.host_of(&keyed.api))).status, 403);
    assert_forbidden(&keyed.call("nobodys-key-000000000"));
    assert_forbidden(&keyed.call(ANNA));
    // Neither of the refused ones counts.
    for _ in served..30 {
        assert_eq!(keyed.call(&keyed.value).status, 200);
    }
    let refused = keyed.call(&keyed.value);
    assert_error(&refused, 429, "LimitExceededException", "Limit Exceeded");
    assert_eq!(keyed.usage(), json!([[30, 0]]));
    assert_eq!(file(ANNA), 200);

    // A restart forgets nothing of it.
    let (api, key, value) = (keyed.api.clone(), keyed.key.clone(), keyed.value.clone());
    let plan = keyed.plan.clone();
    drop(keyed);
    let gateway = stopped_and_started(gateway);
    let management = gateway.management_client();
    let keyed = Keyed { gateway: &gateway, management, api, plan, key, value };
    let refused = keyed.call(&keyed.value);
    assert_error(&refused, 429, "LimitExceededException", "Limit Exceeded");
    // More is granted by the API.
    keyed.grant("2");
    assert_eq!([keyed.call(&keyed.value).status, keyed.call(&keyed.value).status], [200, 200]);
    assert_eq!(keyed.call(&keyed.value).status, 429);
}

#[test]
fn usage_is_told_and_changed_as_soon_as_a_key_is_in_its_plan() {
    let gateway = keyed_gateway();
    for _ in 0..20 {
        let keyed = Keyed::new(&gateway, &json!({ "quota": { "limit": 10, "period": "DAY" } }));
        assert_eq!(keyed.usage(), json!([[0, 10]]));
        let keyed = Keyed::new(&gateway, &json!({ "quota": { "limit": 10, "period": "DAY" } }));
        keyed.grant("7");
        assert_eq!(keyed.usage(), json!([[0, 7]]));
    }
}

#[test]
fn a_usage_plan_of_the_store_throttles_its_keys() {
    let gateway = keyed_gateway();
    let keyed =
        Keyed::new(&gateway, &json!({ "throttle": { "rateLimit": 0.001, "burstLimit": 5 } }));
    let served = keyed.served();
    for _ in served..5 {
        assert_eq!(keyed.call(&keyed.value).status, 200);
    }
    let refused = keyed.call(&keyed.value);
    assert_error(&refused, 429, "TooManyRequestsException", "Too Many Requests");
}

#[test]
fn a_key_that_the_file_has_too_takes_nothing_from_the_others() {
    let gateway = keyed_gateway();
    let management = gateway.management_client();
    management.post("/apikeys", &json!({ "name": "again", "enabled": true, "value": ANNA }));
    gateway.process.stderr_line("that one of them is not served", |line| {
        (line.contains("\"ERROR\"") && line.contains("API key")).then_some(())
    });
    let keyed = Keyed::new(&gateway, &json!({}));
    keyed.served();
    let file = get("/prod").host(&gateway.default_host()).header("x-api-key", ANNA);
    assert_eq!(gateway.call(file).status, 200);
}

const ANNA: &str = "annas-key-0000000000";

/// `GET /` for who has an API key.
fn keyed_api() -> Api {
    let scheme = json!({ "type": "apiKey", "name": "x-api-key", "in": "header" });
    let method = json!({
        "security": [{ "api_key": [] }],
        "x-amazon-apigateway-integration": mock(200, "keyed"),
    });
    Api::new()
        .with("components", json!({ "securitySchemes": { "api_key": scheme } }))
        .method("GET /", method)
}

/// A gateway whose file has [`keyed_api`] as well, with a plan, `gold00`, and Anna's key.
fn keyed_gateway() -> Gateway {
    let usage = format!(
        "usage_plans:\n- {{id: gold00, api_stages: [{{api_id: petstore01, stage: prod}}]}}\n\
         api_keys:\n- {{value: {ANNA}, id: anna000000, usage_plans: [gold00]}}\n"
    );
    Serve::new(keyed_api()).managed().with(&usage).start()
}

/// [`keyed_api`] in the store, with a usage plan and a key.
struct Keyed<'g> {
    gateway: &'g Gateway,
    management: ManagementClient,
    api: String,
    plan: String,
    key: String,
    value: String,
}

impl<'g> Keyed<'g> {
    fn new(gateway: &'g Gateway, plan: &Value) -> Self {
        let management = gateway.management_client();
        let api = management.import(keyed_api());
        management.deploy(&api, &json!({}));
        let mut plan = plan.clone();
        plan["name"] = "silver".into();
        plan["apiStages"] = json!([{ "apiId": api, "stage": "prod" }]);
        let plan = text(&management.post("/usageplans", &plan)["id"]);
        let key = management.post("/apikeys", &json!({ "name": "bert", "enabled": true }));
        let (key, value) = (text(&key["id"]), text(&key["value"]));
        let member = json!({ "keyId": key, "keyType": "API_KEY" });
        management.post(&format!("/usageplans/{plan}/keys"), &member);
        Self { gateway, management, api, plan, key, value }
    }

    fn request(&self, key: &str) -> Request {
        get("/prod").host(&self.gateway.host_of(&self.api)).header("x-api-key", key)
    }

    fn call(&self, key: &str) -> Response {
        self.gateway.call(self.request(key))
    }

    /// Waits until its key is let in. Gives how many requests were: one.
    fn served(&self) -> usize {
        eventually("the key is let in", || (self.call(&self.value).status == 200).then_some(1))
    }

    /// What GetUsage has of its key today.
    fn usage(&self) -> Value {
        let today = AmzDate::new(SystemTime::now()).text()[..8].to_owned();
        let today = format!("{}-{}-{}", &today[..4], &today[4..6], &today[6..]);
        let target = format!("/usageplans/{}/usage?startDate={today}&endDate={today}", self.plan);
        self.management.get(&target)["values"][&self.key].take()
    }

    /// Has so many requests be left of its key's quota.
    fn grant(&self, remaining: &str) {
        self.management.patch(
            &format!("/usageplans/{}/keys/{}/usage", self.plan, self.key),
            &json!([{ "op": "replace", "path": "/remaining", "value": remaining }]),
        );
    }

    fn used(&self) -> u64 {
        self.usage()[0][0].as_u64().expect("a number")
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Ends it as an operator does, and starts it again.
fn stopped_and_started(mut gateway: Gateway) -> Gateway {
    gateway.process.signal(libc::SIGTERM);
    assert_eq!(gateway.process.exit().code(), Some(0));
    Serve::start_again(gateway.kill())
}
