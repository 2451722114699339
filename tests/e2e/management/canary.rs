//! Canaries and rollback, in what is served, counted and logged.

use serde_json::{Value, json};
use tollgate_tests::{Api, Gateway, Load, ManagementClient, Request, Serve, eventually, get, mock};

const OLD: &str = "old red ";
const FORMAT: &str = "$context.stage $context.deploymentId $context.isCanaryRequest $context.status \
     $context.requestId";

#[test]
fn a_canary_gets_its_share_exactly_at_the_ends_and_roughly_between() {
    let canary = Canary::start(100.0);
    canary.served("new blue true");
    assert_eq!(canary.count("new blue true", 100), 100);

    canary.percent(0.0);
    canary.served("old red false");
    assert_eq!(canary.count("old red false", 100), 100);

    canary.percent(30.0);
    canary.served("new blue true");
    // Of 600 with 30 %, 180 are expected; seven standard deviations are 79.
    let found = canary.count("new blue true", 600);
    assert!((101..=259).contains(&found), "{found}");
}

#[test]
fn a_canarys_requests_are_counted_and_logged_as_its_own() {
    let canary = Canary::start(50.0);
    canary.served("new blue true");
    canary.served("old red false");
    let new = canary.count("new blue true", 40);
    let requests = |stage: &str| {
        canary
            .gateway
            .metric(&format!("tollgate_requests_total{{api=\"canaried\",stage=\"{stage}\"}}"))
    };
    let logged = || {
        let lines = canary.gateway.access_log(41);
        let of = |deployment: &str, is_canary: &str| {
            let line = format!("prod {deployment} {is_canary} 200 ");
            lines.iter().filter(|it| it.starts_with(&line)).count()
        };
        // Those before the canary came have neither word.
        let base = of(&canary.old, "false") + of(&canary.old, "-");
        let of_canary = of(&canary.new, "true");
        assert_eq!(of_canary + base, lines.len(), "{lines:?}");
        (of_canary, base)
    };
    eventually("log and metrics have all of them", || {
        let (of_canary, base) = logged();
        let all = of_canary >= new && base >= 41 - new;
        let counted = (requests("prod/Canary"), requests("prod"));
        (all && counted == (of_canary as f64, base as f64)).then_some(())
    });
}

#[test]
fn a_canary_and_its_stage_share_their_throttle() {
    let canary = Canary::start(50.0);
    canary.served("new blue true");
    // The colors say from when on the throttle counts.
    canary.patch(&json!([
        { "op": "replace", "path": "/*/*/throttling/burstLimit", "value": "20" },
        { "op": "replace", "path": "/*/*/throttling/rateLimit", "value": "0.001" },
        { "op": "replace", "path": "/variables/color", "value": "green" },
        { "op": "replace", "path": "/canarySettings/stageVariableOverrides/color", "value": "gray" },
    ]));
    let mut answers = Vec::new();
    eventually("the throttle counts", || {
        answers.push(canary.call());
        answers.last().is_some_and(|(status, _)| *status == 429).then_some(())
    });
    answers.extend((0..60).map(|_| canary.call()));
    let count = |text: &str| answers.iter().filter(|it| *it == &(200, text.to_owned())).count();
    let (of_base, of_canary) = (count("old green false"), count("new gray true"));
    assert!(of_base > 0 && of_canary > 0, "{answers:?}");
    assert_eq!(of_base + of_canary, 20, "{answers:?}");
}

#[test]
fn a_canary_is_promoted_by_one_call_without_a_failed_request() {
    let canary = Canary::start(50.0);
    let load = canary.load();
    let stage = canary.patch(&json!([
        { "op": "replace", "path": "/canarySettings/percentTraffic", "value": "0.0" },
        { "op": "copy", "path": "/variables", "from": "/canarySettings/stageVariableOverrides" },
        { "op": "copy", "path": "/deploymentId", "from": "/canarySettings/deploymentId" },
    ]));
    assert_eq!(stage["deploymentId"], canary.new.as_str());
    assert_eq!(stage["variables"], json!({ "color": "blue" }));
    eventually("nobody gets the old one any more", || {
        (canary.count("new blue false", 20) == 20).then_some(())
    });
    assert_eq!(canary.count("new blue false", 100), 100);
    load.more();
    load.finish();
}

#[test]
fn a_canary_is_abandoned_without_a_failed_request() {
    let canary = Canary::start(50.0);
    let load = canary.load();
    let stage = canary.patch(&json!([{ "op": "remove", "path": "/canarySettings" }]));
    assert_eq!(stage["canarySettings"], Value::Null);
    eventually("nobody gets the new one any more", || (canary.count(OLD, 20) == 20).then_some(()));
    assert_eq!(canary.count(OLD, 100), 100);
    load.more();
    load.finish();
}

#[test]
fn a_stage_goes_back_to_any_earlier_deployment_without_a_failed_request() {
    let canary = Canary::start(0.0);
    canary.patch(&json!([{ "op": "remove", "path": "/canarySettings" }]));
    let mut deployments = vec![(canary.old.clone(), OLD.to_owned())];
    for word in ["second", "third", "fourth"] {
        canary.template(word);
        deployments
            .push((canary.management.deploy(&canary.id, &json!({})), format!("{word} red ")));
    }
    canary.served("fourth red ");
    let load = canary.load();
    for at in [0, 2, 1, 3, 0] {
        let (deployment, answer) = &deployments[at];
        let change = json!([{ "op": "replace", "path": "/deploymentId", "value": deployment }]);
        assert_eq!(canary.patch(&change)["deploymentId"], deployment.as_str());
        canary.served(answer);
        assert_eq!(canary.count(answer, 20), 20);
    }
    load.more();
    load.finish();
}

/// A stage whose canary has a deployment and a variable of its own.
struct Canary {
    gateway: Gateway,
    management: ManagementClient,
    id: String,
    old: String,
    new: String,
}

impl Canary {
    /// The stage serves [`OLD`] before; it is deleted with its count.
    fn start(percent: f64) -> Self {
        let gateway = Serve::new(Api::new().route("GET /", mock(200, "")))
            .managed()
            .access_log(&format!("destination: access.log, format: '{FORMAT}'"))
            .start();
        let management = gateway.management_client();
        let id = management.import(Api::new().title("canaried").route("GET /", mock(200, "")));
        let mut canary = Self { gateway, management, id, old: String::new(), new: String::new() };
        canary.template("old");
        canary.old =
            canary.management.deploy(&canary.id, &json!({ "variables": { "color": "red" } }));
        canary.served(OLD);
        canary.template("new");
        let overrides = json!({ "color": "blue" });
        let settings = json!({ "percentTraffic": percent, "stageVariableOverrides": overrides });
        canary.new = canary.management.deploy(&canary.id, &json!({ "canarySettings": settings }));
        canary
    }

    /// Changes what the next deployment answers.
    fn template(&self, word: &str) {
        let root = self.management.get(&format!("/restapis/{}", self.id))["rootResourceId"].take();
        let root = root.as_str().expect("an id");
        let template = format!("{word} $stageVariables.color $context.isCanaryRequest");
        let target =
            format!("/restapis/{}/resources/{root}/methods/GET/integration/responses/200", self.id);
        let path = "/responseTemplates/application~1json";
        self.management
            .patch(&target, &json!([{ "op": "replace", "path": path, "value": template }]));
    }

    fn patch(&self, operations: &Value) -> Value {
        self.management.patch(&format!("/restapis/{}/stages/prod", self.id), operations)
    }

    fn percent(&self, percent: f64) {
        let path = "/canarySettings/percentTraffic";
        self.patch(&json!([{ "op": "replace", "path": path, "value": percent.to_string() }]));
    }

    fn request(&self) -> Request {
        get("/prod").host(&self.gateway.host_of(&self.id))
    }

    fn call(&self) -> (u16, String) {
        self.gateway.call(self.request()).summary()
    }

    /// Waits until a request is answered so.
    fn served(&self, answer: &str) {
        eventually(&format!("{answer:?} is served"), || {
            (self.call() == (200, answer.to_owned())).then_some(())
        });
    }

    /// How many of so many requests are answered so; all of them are answered.
    fn count(&self, answer: &str, requests: usize) -> usize {
        let mut connection = self.gateway.connect();
        let answers = (0..requests).map(|_| connection.call(self.request()));
        answers
            .filter(|response| {
                assert_eq!(response.status, 200, "{response:?}");
                response.text() == answer
            })
            .count()
    }

    fn load(&self) -> Load {
        Load::start(self.gateway.http, 4, &self.request(), |response| {
            assert_eq!(response.status, 200, "{response:?}");
        })
    }
}
