//! A gateway that is killed at any moment while clients change APIs: what they were told is there
//! when it starts again, what is there is whole, and what was deployed is served at once.

use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tollgate_tests::{Api, Gateway, Http1, ManagementClient, Response, Serve, get, mock, tollgate};

const KILLS: usize = 25;
/// However slow the machine is: unless nothing was deployed or deleted until then.
const LONGEST: Duration = Duration::from_secs(60);
/// A life that is not over until then has failed.
const PATIENCE: Duration = Duration::from_secs(240);
const CLIENTS: usize = 3;
const MOCK: &str =
    r#"{"type": "MOCK", "requestTemplates": {"application/json": "{\"statusCode\": 200}"}}"#;

#[test]
fn what_was_acknowledged_is_there_and_served_after_a_kill_at_any_moment() {
    let mut gateway = Serve::new(Api::new().route("GET /", mock(200, "file"))).managed().start();
    let mut known: Vec<Made> = Vec::new();
    let (start, mut kills) = (Instant::now(), 0);
    let has_lived = |known: &[Made]| {
        known.iter().any(|made| made.stage.now.is_some())
            && known.iter().any(|made| made.deletion.now)
    };
    let goes_on = |kills, known: &[Made]| match has_lived(known) {
        true => kills < KILLS && start.elapsed() < LONGEST,
        false => start.elapsed() < PATIENCE,
    };
    while goes_on(kills, &known) {
        // They are at it while what is served is looked at.
        let clients = Clients::start(gateway.management_client(), kills);
        assert_served(&gateway, &mut known);
        // Longer and longer where nothing comes to its end: the machine is slow.
        let longest = if has_lived(&known) { 1500 } else { 1500 + 100 * kills as u64 };
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..longest)));
        gateway.process.signal(libc::SIGKILL);
        let new = clients.finish();
        let folder = gateway.kill();
        let records = records(&folder);
        gateway = Serve::start_again(folder);
        kills += 1;

        let management = gateway.management_client();
        for made in &new {
            made.assert_kept(&management);
        }
        known.extend(new);
        assert_whole(&records);
        for made in &known {
            made.assert_recorded(&records);
        }
        // Whether what was not acknowledged was carried out is seen once, and stays so.
        for made in known.iter_mut() {
            made.settle(&gateway);
        }
    }
    let calls: usize = known.iter().map(|made| made.acknowledged).sum();
    eprintln!("{kills} kills, {calls} operations on {} APIs acknowledged", known.len());
    assert!(known.iter().any(|made| made.stage.now.is_some()), "nothing was deployed");
    assert!(known.iter().any(|made| made.deletion.now), "nothing was deleted");
}

/// Asks for every stage once, without a second try.
fn assert_served(gateway: &Gateway, known: &mut [Made]) {
    let mut connection = gateway.connect();
    let file = connection.call(get("/prod").host(&gateway.default_host()));
    assert_eq!(file.text(), "file");
    for made in known {
        made.assert_served(&made.call(&mut connection));
    }
}

/// Something that a client asked for, and that was perhaps carried out.
#[derive(Clone, Debug, Default)]
struct Change<T> {
    now: T,
    asked: Option<T>,
}

impl<T: PartialEq> Change<T> {
    fn done(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.now = asked;
        }
    }

    fn allows(&self, found: &T) -> bool {
        self.now == *found || self.asked.as_ref() == Some(found)
    }
}

/// An API that a client was told of, and what it was told about it.
#[derive(Debug)]
struct Made {
    id: String,
    root: String,
    /// Of the resources under the root: id and path.
    resources: Vec<(String, String)>,
    /// Of the root's GET: method, integration, method response, integration response.
    method_steps: usize,
    /// What stage `prod` answers.
    stage: Change<Option<String>>,
    deletion: Change<bool>,
    acknowledged: usize,
}

impl Made {
    fn new(api: &Value) -> Self {
        Self {
            id: text(&api["id"]),
            root: text(&api["rootResourceId"]),
            resources: Vec::new(),
            method_steps: 0,
            stage: Change::default(),
            deletion: Change::default(),
            acknowledged: 1,
        }
    }

    /// Leads the API through a life of its own, until the gateway doesn't answer.
    fn live(&mut self, client: &Client, is_deleted: bool) -> Result<(), Killed> {
        let api = format!("/restapis/{}", self.id);
        let mut parent = self.root.clone();
        for part in ["a", "b", "c"] {
            let resource = client.done(
                self,
                "POST",
                &format!("{api}/resources/{parent}"),
                json!({ "pathPart": part }).to_string(),
            )?;
            parent = text(&resource["id"]);
            self.resources.push((parent.clone(), text(&resource["path"])));
        }
        let method = format!("{api}/resources/{}/methods/GET", self.root);
        let answer =
            json!({ "responseTemplates": { "application/json": "one $stageVariables.v" } });
        for (target, body) in [
            (method.clone(), json!({ "authorizationType": "NONE" }).to_string()),
            (format!("{method}/integration"), MOCK.to_owned()),
            (format!("{method}/responses/200"), "{}".to_owned()),
            (format!("{method}/integration/responses/200"), answer.to_string()),
        ] {
            client.done(self, "PUT", &target, body)?;
            self.method_steps += 1;
        }
        let stage = json!({ "stageName": "prod", "variables": { "v": "1" } });
        self.serve(client, "one 1", "POST", &format!("{api}/deployments"), stage)?;
        let variable = patch("/variables/v", "2");
        self.serve(client, "one 2", "PATCH", &format!("{api}/stages/prod"), variable)?;
        let template = patch("/responseTemplates/application~1json", "two $stageVariables.v");
        let response = format!("{method}/integration/responses/200");
        client.done(self, "PATCH", &response, template.to_string())?;
        let stage = json!({ "stageName": "prod" });
        self.serve(client, "two 2", "POST", &format!("{api}/deployments"), stage)?;
        if is_deleted {
            self.deletion.asked = Some(true);
            self.stage.asked = Some(None);
            client.done(self, "DELETE", &api, String::new())?;
            self.deletion.done();
            self.stage.done();
        }
        Ok(())
    }

    /// An operation after which the stage answers so.
    fn serve(
        &mut self,
        client: &Client,
        answer: &str,
        method: &str,
        target: &str,
        body: Value,
    ) -> Result<(), Killed> {
        self.stage.asked = Some(Some(answer.to_owned()));
        client.done(self, method, target, body.to_string())?;
        self.stage.done();
        Ok(())
    }

    fn call(&self, connection: &mut Http1) -> Response {
        let host = format!("{}.execute-api.us-east-1.localhost", self.id);
        connection.call(get("/prod").host(&host))
    }

    #[track_caller]
    fn assert_served(&self, response: &Response) -> Option<String> {
        let answer = (response.status == 200).then(|| response.text());
        assert!(answer.is_some() || response.status == 403, "{response:?}");
        assert!(self.stage.allows(&answer), "{answer:?}: {self:?}");
        answer
    }

    fn settle(&mut self, gateway: &Gateway) {
        if self.stage.asked.is_some() {
            self.stage.now = self.assert_served(&self.call(&mut gateway.connect()));
            self.stage.asked = None;
        }
        if self.deletion.asked.take().is_some() {
            self.deletion.now = self.stage.now.is_none();
        }
    }

    /// What the management API says after the kill.
    fn assert_kept(&self, management: &ManagementClient) {
        let api = format!("/restapis/{}", self.id);
        let found = management.call("GET", &api, "");
        let is_gone = found.status == 404;
        assert!(self.deletion.allows(&is_gone), "{:?}: {self:?}", found.summary());
        if is_gone {
            return;
        }
        assert_eq!(found.json()["rootResourceId"], self.root.as_str());
        let listed = management.get(&format!("{api}/resources?limit=500&embed=methods"));
        let items = listed["item"].as_array().expect("a list");
        let resource = |id: &str| items.iter().find(|it| it["id"] == id);
        for (id, path) in &self.resources {
            assert_eq!(resource(id).map(|it| &it["path"]), Some(&json!(path)), "{self:?}");
        }
        let method = &resource(&self.root).expect("a root")["resourceMethods"]["GET"];
        let steps = [
            method,
            &method["methodIntegration"],
            &method["methodResponses"]["200"],
            &method["methodIntegration"]["integrationResponses"]["200"],
        ];
        for step in &steps[..self.method_steps] {
            assert!(step.is_object(), "{method}: {self:?}");
        }
    }

    /// What the store has after the kill.
    fn assert_recorded(&self, records: &Map<String, Value>) {
        let is_gone = !records.contains_key(&format!("restapis/{}", self.id));
        assert!(self.deletion.allows(&is_gone), "{self:?}");
        if !is_gone {
            for (id, _) in &self.resources {
                let key = format!("restapis/{}/resources/{id}", self.id);
                assert!(records.contains_key(&key), "{key}: {self:?}");
            }
        }
    }
}

/// Whatever is there has all that belongs to it, whoever asked for it.
fn assert_whole(records: &Map<String, Value>) {
    for (key, record) in records {
        let parts: Vec<&str> = key.split('/').collect();
        let ["restapis", api, rest @ ..] = &parts[..] else { panic!("{key}: {record}") };
        let sibling = |kind: &str, id: &Value| {
            records.contains_key(&format!("restapis/{api}/{kind}/{}", text(id)))
        };
        match rest {
            [] => {
                let under = format!("{key}/resources/");
                let resources = records.iter().filter(|(key, _)| key.starts_with(&under));
                let roots = resources.filter(|(_, it)| it["path"] == "/").count();
                assert_eq!(roots, 1, "roots of {key}");
            }
            ["resources", _] if record["path"] != "/" => {
                assert!(sibling("resources", &record["parentId"]), "{key}: {record}");
            }
            ["stages", _] => {
                assert!(sibling("deployments", &record["deploymentId"]), "{key}: {record}");
                assert!(sibling("definitions", &record["deploymentId"]), "{key}: {record}");
            }
            ["deployments", id] => assert!(sibling("definitions", &json!(id)), "{key}"),
            _ => {}
        }
        assert!(records.contains_key(&format!("restapis/{api}")), "{key} belongs to no API");
    }
}

/// What is in the store of a gateway that was killed.
fn records(folder: &TempDir) -> Map<String, Value> {
    let exported = tollgate(folder.path(), &["store", "export", "--data-directory", "data"]);
    assert_eq!((exported.code, &*exported.stderr), (0, ""));
    let mut document: Value = serde_json::from_str(&exported.stdout).expect("JSON");
    let Value::Object(records) = document["records"].take() else { panic!("{document}") };
    records
}

/// The gateway was killed.
#[derive(Debug)]
struct Killed;

struct Client {
    management: ManagementClient,
}

impl Client {
    fn done(
        &self,
        made: &mut Made,
        method: &str,
        target: &str,
        body: String,
    ) -> Result<Value, Killed> {
        let answer = self.call(method, target, body)?;
        made.acknowledged += 1;
        Ok(answer)
    }

    fn call(&self, method: &str, target: &str, body: String) -> Result<Value, Killed> {
        let response = self.management.try_call(method, target, body).map_err(|_| Killed)?;
        assert!(response.status < 300, "{method} {target}: {:?}", response.summary());
        Ok(response.json())
    }

    /// Makes APIs until the gateway is killed.
    fn live(&self, name: &str) -> Vec<Made> {
        let mut made = Vec::new();
        loop {
            let body = json!({ "name": name }).to_string();
            let Ok(api) = self.call("POST", "/restapis", body) else { return made };
            let mut new = Made::new(&api);
            let lived = new.live(self, made.len() % 3 == 0);
            made.push(new);
            if lived.is_err() {
                return made;
            }
        }
    }
}

/// Clients that run until the gateway is killed.
struct Clients(Vec<JoinHandle<Vec<Made>>>);

impl Clients {
    fn start(management: ManagementClient, round: usize) -> Self {
        let together = Arc::new(Barrier::new(CLIENTS + 1));
        let clients = (0..CLIENTS).map(|number| {
            let (client, together) = (Client { management: management.clone() }, together.clone());
            std::thread::spawn(move || {
                together.wait();
                client.live(&format!("round {round}, client {number}"))
            })
        });
        let clients = clients.collect();
        together.wait();
        Self(clients)
    }

    fn finish(self) -> Vec<Made> {
        let made = self.0.into_iter().map(|client| client.join().expect("no client fails"));
        made.flatten().collect()
    }
}

fn patch(path: &str, value: &str) -> Value {
    json!({ "patchOperations": [{ "op": "replace", "path": path, "value": value }] })
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
