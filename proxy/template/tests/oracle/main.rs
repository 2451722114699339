//! Renders thousands of templates with Apache Velocity 1.7 and with this crate, and compares.
//!
//! | Module | |
//! |---|---|
//! | [`generate`] | makes templates: by the grammar, and by damaging those and a corpus |
//! | [`corpus`] | the templates of the API definitions in `tests/definitions`, and some in AWS's style |
//! | [`values`] | what the templates read |
//! | [`json_path`] | makes paths and documents for `$input.path` and `$input.json` |
//! | [`json_text`] | makes JSON texts, and some that are none |
//! | [`minimise`] | makes a case that differs as small as it gets |
//! | [`oracle`] | Velocity and Jayway's json-path in one Java process; its source is in `java/` |
//! | [`departures`] | each way in which the two may differ, with its reason |
//! | [`json_path_departures`] | the same for paths |
//!
//! Both must render the same text, or both must fail. The cases are the same in every run:
//!
//! - `TOLLGATE_ORACLE_CASES` is how many are compared (10,000; 4,000 of paths and of JSON texts),
//! - `TOLLGATE_ORACLE_SEED` is the seed of the first one (1); each further case has the next,
//! - `TOLLGATE_ORACLE_REPORT` names a file that takes all differences, where a run stops after a
//!   few otherwise.

mod corpus;
mod departures;
mod generate;
mod json_path;
mod json_path_departures;
mod json_text;
mod minimise;
mod oracle;
mod values;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tollgate_template::{ContextWrites, Template};

use generate::Generator;
use minimise::minimise;
use oracle::Oracle;
use values::{BODIES, Values, variables};

/// Differences that are minimised and shown, unless a report is asked for.
const SHOWN: usize = 5;

/// Both answers to one template, which differ.
pub struct Comparison {
    pub template: String,
    /// `$path`, where the case is about a JSONPath.
    pub path: Option<String>,
    pub velocity: Result<String, String>,
    pub ours: Result<String, String>,
}

#[test]
fn templates_render_as_velocity_renders_them() {
    let corpus = corpus::templates();
    let variables = variables();
    compare_all("TEMPLATES", 10_000, |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let body = BODIES[random.usize(..BODIES.len())];
        let kind = random.u8(..10);
        let own = random.fork();
        let template = match kind {
            0 => corpus[random.usize(..corpus.len())].clone(),
            1 | 2 => generate::mutate(&corpus[random.usize(..corpus.len())], &mut random),
            3 | 4 => generate::mutate(&Generator::template(own), &mut random),
            _ => Generator::template(own),
        };
        (template, Values::new(body, variables.clone()))
    });
}

#[test]
fn json_paths_find_what_jayway_finds() {
    compare_all("PATHS", 4_000, |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let document = json_path::document(&mut random);
        let path = json_path::path(&document, &mut random);
        let variables = serde_json::json!({ "path": path });
        let template = if random.bool() { "$input.json($path)" } else { "$input.path($path)" };
        (template.to_owned(), Values::new(&document.to_string(), variables))
    });
}

#[test]
fn json_reads_and_prints_as_json_smarts() {
    compare_all("JSON", 4_000, |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let text = json_text::text(&mut random);
        let template = ["$input.path('$')", "$input.json('$')", "$util.parseJson($text)"];
        let template = template[random.usize(..template.len())].to_owned();
        let variables = serde_json::json!({ "text": text });
        (template, Values::new(&text, variables))
    });
}

fn compare_all(name: &str, cases: u64, case: impl Fn(u64) -> (String, Values)) {
    let setting = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let cases = setting("TOLLGATE_ORACLE_CASES").unwrap_or(cases);
    let first = setting("TOLLGATE_ORACLE_SEED").unwrap_or(1);
    let report = std::env::var("TOLLGATE_ORACLE_REPORT").ok().map(|path| format!("{path}.{name}"));

    let mut oracle = Oracle::start();
    let mut tally = Tally::default();
    for seed in first..first.saturating_add(cases) {
        let (template, values) = case(seed);
        let Some(difference) = tally.compare(&mut oracle, &template, &values) else { continue };
        tally.differing += 1;
        if report.is_some() || tally.differing <= SHOWN {
            let (minimal, values) = minimise(&mut oracle, difference, values);
            show(&mut tally.shown, seed, &minimal, &values);
        }
    }
    println!("{name}: {cases} cases from seed {first}, {} failed on both sides", tally.failed_both);
    for departure in departures::all() {
        let count = tally.explained.get(departure.name).copied().unwrap_or_default();
        println!("{count:7} {}: {}", departure.name, departure.reason);
    }
    if let Some(path) = report {
        std::fs::write(&path, &tally.shown).expect("the report can be written");
    }
    assert!(tally.differing == 0, "{} unexplained differences\n{}", tally.differing, tally.shown);
}

/// What came of the cases.
#[derive(Default)]
struct Tally {
    explained: BTreeMap<String, u64>,
    failed_both: u64,
    differing: usize,
    shown: String,
}

impl Tally {
    /// An unexplained difference, if there is one.
    fn compare(
        &mut self,
        oracle: &mut Oracle,
        template: &str,
        values: &Values,
    ) -> Option<Comparison> {
        let (difference, departures) = compare(oracle, template, values);
        for name in departures {
            let known = departures::all().any(|one| one.name == name);
            assert!(known, "{name} is not in the list of departures");
            *self.explained.entry(name).or_default() += 1;
        }
        let (velocity, ours) = (&difference.velocity, &difference.ours);
        if velocity.is_err() && ours.is_err() && !is_panic(ours) {
            self.failed_both += 1;
        }
        if agree(&difference) {
            return None;
        }
        match departures::explain(&difference) {
            Some(name) => {
                *self.explained.entry(name.to_owned()).or_default() += 1;
                None
            }
            None => Some(difference),
        }
    }
}

fn compare(oracle: &mut Oracle, template: &str, values: &Values) -> (Comparison, Vec<String>) {
    let answer = oracle.render(template, values);
    let ours = catch_unwind(AssertUnwindSafe(|| {
        Template::parse(template)
            .render(values, &mut ContextWrites::default())
            .map_err(|error| error.to_string())
    }))
    .unwrap_or_else(|_| Err(PANICKED.to_owned()));
    let path = values.0["variables"]["path"].as_str().map(String::from);
    let comparison =
        Comparison { template: template.to_owned(), path, velocity: answer.rendered, ours };
    (comparison, answer.departures)
}

const PANICKED: &str = "it panicked";

fn is_panic(ours: &Result<String, String>) -> bool {
    ours.as_ref().is_err_and(|message| message == PANICKED)
}

/// Both failed, or both rendered the same text.
fn agree(comparison: &Comparison) -> bool {
    match (&comparison.velocity, &comparison.ours) {
        (Ok(velocity), Ok(ours)) => velocity == ours,
        (Err(_), Err(_)) => !is_panic(&comparison.ours),
        _ => false,
    }
}

fn show(out: &mut String, seed: u64, difference: &Comparison, values: &Values) {
    let side = |answer: &Result<String, String>| match answer {
        Ok(text) => format!("{text:?}"),
        Err(message) => format!("failed: {}", message.lines().next().unwrap_or_default()),
    };
    let path = values.0["variables"]
        .get("path")
        .map(|path| format!("path     {path}\n"))
        .unwrap_or_default();
    let _ = write!(
        out,
        "\nseed     {seed}\ntemplate {:?}\n{path}body     {}\nVelocity {}\nours     {}\n",
        difference.template,
        values.0["body"],
        side(&difference.velocity),
        side(&difference.ours),
    );
}
