//! A new binary takes over (SIGUSR2) while clients change APIs and others call them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tollgate_tests::{Api, Gateway, Load, ManagementClient, Serve, eventually, get, mock};

const WRITERS: usize = 3;

#[test]
fn an_upgrade_loses_no_acknowledged_change_and_fails_no_request() {
    let mut gateway =
        Serve::new(Api::new().route("GET /", mock(200, "file"))).managed().start_installed();
    let management = gateway.management_client();
    let id = management.import(
        Api::new().title("deployed").route("GET /", mock(200, "version $stageVariables.number")),
    );
    management.deploy(&id, &json!({ "variables": { "number": "0" } }));
    let request = get("/prod").host(&gateway.host_of(&id));
    eventually("it is served", || (gateway.call(request.clone()).status == 200).then_some(()));

    let check = |response: &tollgate_tests::Response| {
        assert!(response.status == 200 && response.text().starts_with("version "), "{response:?}");
    };
    let load = Load::start(gateway.http, 3, &request, check);
    let closing = request.clone().header("Connection", "close");
    let new_connections = Load::start(gateway.http, 1, &closing, check);
    let writers = Writers::start(&management, &id);

    gateway.process.signal(libc::SIGUSR2);
    let process = upgraded(&gateway);
    writers.more();
    // What the new process writes, the old one sees as long as it drains, and the other way round.
    assert_eq!(gateway.process.exit().code(), Some(0));
    assert_ne!(process, u64::from(gateway.process.id()));
    writers.more();
    load.more();
    new_connections.more();
    let told = writers.finish();
    load.finish();
    new_connections.finish();

    let apis = names(&management.get("/restapis?limit=500"));
    for name in told.iter().flat_map(|it| &it.apis) {
        assert!(apis.contains(name), "{name} is lost: {apis:?}");
    }
    let stage = management.get(&format!("/restapis/{id}/stages/prod"));
    for (number, told) in told.iter().enumerate() {
        let last = json!(told.apis.len().to_string());
        assert_eq!(stage["variables"][format!("writer{number}")], last, "{stage}");
    }
    // What was told last is served.
    for number in ["a", "b"] {
        let path = "/variables/number";
        let change = json!([{ "op": "replace", "path": path, "value": number }]);
        management.patch(&format!("/restapis/{id}/stages/prod"), &change);
        eventually("the change is served", || {
            let answer = gateway.call(request.clone()).text();
            (answer == format!("version {number}")).then_some(())
        });
    }
}

#[test]
fn the_new_process_serves_at_once_what_the_old_one_was_told_last() {
    let mut gateway =
        Serve::new(Api::new().route("GET /", mock(200, "file"))).managed().start_installed();
    let management = gateway.management_client();
    let api = |number: usize| Api::new().route("GET /", mock(200, &format!("version {number}")));
    let id = management.import(api(0));
    let key = management.post(
        "/apikeys",
        &json!({ "name": "one", "enabled": true, "value": "a-key-of-the-store-0" }),
    );
    for number in 1..=3 {
        let target = format!("/restapis/{id}?mode=overwrite");
        management.done("PUT", &target, api(number).text());
        management.deploy(&id, &json!({}));
    }
    gateway.process.signal(libc::SIGUSR2);
    upgraded(&gateway);
    gateway.process.exit();
    // Without a second try.
    let request = get("/prod").host(&gateway.host_of(&id));
    assert_eq!(gateway.call(request).summary(), (200, "version 3".to_owned()));
    let file = get("/prod").host(&gateway.default_host());
    assert_eq!(gateway.call(file).text(), "file");
    let target = format!("/apikeys/{}", key["id"].as_str().expect("an id"));
    assert_eq!(management.get(&target)["name"], "one");
}

/// The new process that the log tells of.
fn upgraded(gateway: &Gateway) -> u64 {
    gateway.process.stderr_line("that the new process serves", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["message"]
            .as_str()?
            .contains("new process serves")
            .then(|| line["process"].as_u64())?
    })
}

fn names(listed: &Value) -> Vec<String> {
    let items = listed["item"].as_array().expect("a list").iter();
    items.map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
}

/// What a writer was told.
struct Told {
    /// Names of the APIs it made; the stage's variable of its own has their number.
    apis: Vec<String>,
}

/// Clients that make APIs and change a stage. None of their requests may fail.
struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<Told>>,
}

impl Writers {
    fn start(management: &ManagementClient, id: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let threads = (0..WRITERS).map(|number| {
            let (management, stop, acknowledged) =
                (management.clone(), stop.clone(), acknowledged.clone());
            let stage = format!("/restapis/{id}/stages/prod");
            std::thread::spawn(move || {
                let mut told = Told { apis: Vec::new() };
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("writer {number}, {}", told.apis.len());
                    management.post("/restapis", &json!({ "name": name }));
                    told.apis.push(name);
                    let (path, value) =
                        (format!("/variables/writer{number}"), told.apis.len().to_string());
                    insist(&management, &stage, &path, &value);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                told
            })
        });
        let threads = threads.collect();
        let writers = Self { stop, acknowledged, threads };
        writers.more();
        writers
    }

    /// Waits until some more has been acknowledged.
    fn more(&self) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + 2 * WRITERS;
        eventually("the writers are answered", || {
            let failed = self.threads.iter().any(std::thread::JoinHandle::is_finished);
            assert!(!failed, "a writer's request failed");
            (self.acknowledged.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    fn finish(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|it| it.join().expect("no writer fails")).collect()
    }
}

/// Sets a variable, again where others were first.
fn insist(management: &ManagementClient, stage: &str, path: &str, value: &str) {
    let operation = json!({ "op": "replace", "path": path, "value": value });
    let body = json!({ "patchOperations": [operation] }).to_string();
    loop {
        let response = management.call("PATCH", stage, body.clone());
        match response.status {
            200 => return,
            409 => {}
            _ => panic!("{:?}", response.summary()),
        }
    }
}
