//! Clients that change one API at once: each change that was acknowledged is there in the end,
//! and nothing that no one asked for.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Map, Value, json};
use tollgate_tests::{Api, DEADLINE, Gateway, ManagementClient, Serve, mock, tollgate};

const CLIENTS: usize = 8;
const METHODS: [&str; CLIENTS] =
    ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
const BUSY: &str =
    "Unable to complete operation due to concurrent modification. Please try again later.";

#[test]
fn changes_of_one_apis_own_record_are_all_there() {
    let busy = Busy::start();
    let api = busy.api();
    let target = format!("/restapis/{}", text(&api["id"]));
    busy.at_once(|client, number| {
        for round in 0..6 {
            let path = format!("/binaryMediaTypes/image~1{number}-{round}");
            client.insist("PATCH", &target, &patch("add", &path, Value::Null));
        }
    });
    let mut changed = busy.management.get(&target);
    let expected =
        (0..CLIENTS).flat_map(|it| (0..6).map(move |round| format!("image/{it}-{round}")));
    assert_eq!(strings(&changed["binaryMediaTypes"]), expected.collect());
    changed.as_object_mut().expect("an object").remove("binaryMediaTypes");
    assert_eq!(changed, api);
    busy.assert_changed(&[&["restapis", &text(&api["id"])]]);
}

#[test]
fn changes_of_one_stage_are_all_there() {
    let busy = Busy::start();
    let id = busy.deployed();
    let target = format!("/restapis/{id}/stages/prod");
    let mut before = busy.management.get(&target);
    busy.at_once(|client, number| {
        for round in 0..6 {
            let path = format!("/variables/v{number}x{round}");
            client.insist("PATCH", &target, &patch("replace", &path, json!(format!("{round}"))));
        }
    });
    let mut after = busy.management.get(&target);
    let mut expected = Map::new();
    for (number, round) in (0..CLIENTS).flat_map(|it| (0..6).map(move |round| (it, round))) {
        expected.insert(format!("v{number}x{round}"), json!(format!("{round}")));
    }
    assert_eq!(after["variables"], Value::Object(expected));
    for stage in [&mut before, &mut after] {
        stage
            .as_object_mut()
            .expect("a stage")
            .retain(|key, _| key != "variables" && key != "lastUpdatedDate");
    }
    assert_eq!(after, before);
    busy.assert_changed(&[&["restapis", &id], &["restapis", &id, "stages", "prod"]]);
}

#[test]
fn methods_that_are_made_at_once_share_a_resource() {
    let busy = Busy::start();
    let api = busy.api();
    let (id, root) = (text(&api["id"]), text(&api["rootResourceId"]));
    let target = format!("/restapis/{id}/resources/{root}");
    busy.at_once(|client, number| {
        let method = format!("{target}/methods/{}", METHODS[number]);
        let template = format!("{{\"statusCode\": {}}}", 200 + number);
        let integration =
            json!({ "type": "MOCK", "requestTemplates": { "application/json": template } });
        client.insist("PUT", &method, &json!({ "authorizationType": "NONE" }));
        client.insist("PUT", &format!("{method}/integration"), &integration);
        client.insist("PUT", &format!("{method}/responses/200"), &json!({}));
        client.insist("PUT", &format!("{method}/integration/responses/200"), &json!({}));
    });
    let resource = busy.management.get(&format!("{target}?embed=methods"));
    let methods = resource["resourceMethods"].as_object().expect("methods");
    assert_eq!(methods.len(), CLIENTS, "{resource}");
    for (number, name) in METHODS.iter().enumerate() {
        let integration = &methods[*name]["methodIntegration"];
        let template = format!("{{\"statusCode\": {}}}", 200 + number);
        assert_eq!(integration["requestTemplates"]["application/json"], template, "{name}");
        assert!(integration["integrationResponses"]["200"].is_object(), "{name}: {resource}");
        assert!(methods[*name]["methodResponses"]["200"].is_object(), "{name}: {resource}");
    }
    busy.assert_changed(&[&["restapis", &id], &["restapis", &id, "resources", &root]]);
}

#[test]
fn of_two_imports_at_once_the_api_is_one_and_never_a_mix() {
    let busy = Busy::start();
    let id = text(&busy.api()["id"]);
    let target = format!("/restapis/{id}?mode=overwrite");
    let definitions = ["apples", "pears"].map(|name| definition(name).text());
    let contents = definitions.clone().map(|definition| {
        busy.management.done("PUT", &target, definition);
        contents(&busy.management, &id)
    });
    assert_ne!(contents[0], contents[1]);

    let (seen, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let resources = resources(&busy.management, &id);
                assert!(contents.iter().any(|it| it.resources == resources), "{resources:?}");
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..10 {
            let together = Barrier::new(2);
            std::thread::scope(|scope| {
                for definition in &definitions {
                    let (together, management) = (&together, &busy.management);
                    let (target, definition) = (&target, definition.clone());
                    scope.spawn(move || {
                        together.wait();
                        insist(management, "PUT", target, &definition);
                    });
                }
            });
            let found = self::contents(&busy.management, &id);
            assert!(contents.contains(&found), "{found:#?}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(seen.load(Ordering::Relaxed) > 0, "nobody looked");
}

/// Ten resources, a model and a gateway response, all with a name in theirs.
fn definition(name: &str) -> Api {
    let api = Api::new().title(name).with(
        "components",
        json!({ "schemas": { name: { "type": "object", "description": name } } }),
    );
    let responses = json!({ "DEFAULT_4XX": {
        "responseParameters": {},
        "responseTemplates": { "application/json": name },
    } });
    let api = api.with("x-amazon-apigateway-gateway-responses", responses);
    (0..10).fold(api, |api, number| api.route(&format!("GET /{name}{number}"), mock(200, name)))
}

/// What an import decides about an API.
#[derive(Debug, PartialEq)]
struct Contents {
    name: Value,
    resources: BTreeSet<String>,
    models: Vec<Value>,
    response: Value,
}

fn contents(management: &ManagementClient, id: &str) -> Contents {
    let api = format!("/restapis/{id}");
    let mut models = management.get(&format!("{api}/models?limit=500"))["item"].take();
    for model in models.as_array_mut().expect("a list") {
        // Each import makes new ones.
        model.as_object_mut().expect("a model").remove("id");
    }
    Contents {
        name: management.get(&api)["name"].take(),
        resources: resources(management, id),
        models: models.as_array().expect("a list").clone(),
        response: management.get(&format!("{api}/gatewayresponses/DEFAULT_4XX")),
    }
}

fn resources(management: &ManagementClient, id: &str) -> BTreeSet<String> {
    let listed = management.get(&format!("/restapis/{id}/resources?limit=500"));
    let items = listed["item"].as_array().expect("a list");
    let paths: BTreeSet<String> = items.iter().map(|it| text(&it["path"])).collect();
    assert_eq!(paths.len(), items.len(), "{listed}");
    paths
}

/// A gateway whose clients all want the same.
struct Busy {
    gateway: Gateway,
    management: ManagementClient,
    /// Before the clients came.
    records: std::cell::OnceCell<Map<String, Value>>,
}

impl Busy {
    fn start() -> Self {
        let gateway = Serve::new(Api::new().route("GET /", mock(200, ""))).managed().start();
        let management = gateway.management_client();
        let busy = Self { gateway, management, records: std::cell::OnceCell::new() };
        // A bystander.
        busy.deployed();
        busy
    }

    fn api(&self) -> Value {
        let tags = json!({ "name": "busy", "description": "stays", "tags": { "a": "b" } });
        self.management.post("/restapis", &tags)
    }

    fn deployed(&self) -> String {
        let id = self.management.import(Api::new().route("GET /", mock(200, "")));
        self.management.deploy(&id, &json!({}));
        id
    }

    /// Runs eight clients that start together.
    fn at_once(&self, work: impl Fn(&Insistent, usize) + Sync) {
        self.records.set(self.exported()).expect("clients come once");
        let together = Barrier::new(CLIENTS);
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (together, work) = (&together, &work);
                let client = Insistent(self.management.clone());
                scope.spawn(move || {
                    together.wait();
                    work(&client, number);
                });
            }
        });
    }

    /// Asserts that of what was in the store only these records have changed, and none was added.
    fn assert_changed(&self, keys: &[&[&str]]) {
        let before = self.records.get().expect("the clients have been there");
        let after = self.exported();
        let changed: BTreeSet<&String> =
            after.iter().filter(|(key, it)| before.get(*key) != Some(it)).map(|it| it.0).collect();
        let gone = before.keys().filter(|key| !after.contains_key(*key)).count();
        assert_eq!(gone, 0);
        let keys: Vec<String> = keys.iter().map(|parts| parts.join("/")).collect();
        assert!(changed.iter().all(|key| keys.contains(key)), "{changed:?}");
    }

    fn exported(&self) -> Map<String, Value> {
        let arguments = ["store", "export", "--data-directory", "data"];
        let exported = tollgate(self.gateway.folder(), &arguments);
        assert_eq!((exported.code, &*exported.stderr), (0, ""));
        let mut document: Value = serde_json::from_str(&exported.stdout).expect("JSON");
        let Value::Object(records) = document["records"].take() else { panic!("{document}") };
        records
    }
}

/// A client that does as AWS says: again, later.
struct Insistent(ManagementClient);

impl Insistent {
    fn insist(&self, method: &str, target: &str, body: &Value) {
        insist(&self.0, method, target, &body.to_string());
    }
}

fn insist(management: &ManagementClient, method: &str, target: &str, body: &str) {
    let end = Instant::now() + DEADLINE;
    loop {
        let response = management.call(method, target, body);
        if response.status < 300 {
            return;
        }
        let summary = (response.status, response.header("x-amzn-ErrorType"), response.json());
        assert_eq!(summary, (409, Some("ConflictException"), json!({ "message": BUSY })));
        assert!(Instant::now() < end, "busy without end");
    }
}

fn patch(op: &str, path: &str, value: Value) -> Value {
    let mut operation = json!({ "op": op, "path": path });
    if !value.is_null() {
        operation["value"] = value;
    }
    json!({ "patchOperations": [operation] })
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array().expect("a list").iter().map(text).collect()
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
