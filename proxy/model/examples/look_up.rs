//! What it costs to find a stage and a method among 10, 1,000 and 100,000 methods:
//! `cargo run --release -p tollgate-model --example look_up`.
//!
//! The same number of requests is asked for each time, so that the figure is that of the
//! look-up and not of how many methods the processor's caches hold.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use tollgate_model::api::HttpMethod;
use tollgate_model::compile::hosts::Hosts;
use tollgate_model::compile::{PathParameters, Router};

const METHODS_OF_AN_API: usize = 1_000;
const ASKED: usize = 10;
const ROUNDS: usize = 200_000;

fn main() {
    for methods in [10, 1_000, 100_000] {
        // The fastest of several: whatever else the machine did only adds.
        let nanoseconds = (0..5).map(|_| measure(methods)).fold(f64::INFINITY, f64::min);
        println!("{methods:>7} methods: {nanoseconds:.0} ns a look-up");
    }
}

fn measure(methods: usize) -> f64 {
    let apis = methods.div_ceil(METHODS_OF_AN_API);
    let of_an_api = methods / apis;
    let mut hosts = Hosts::new(Arc::default());
    for api in 0..apis {
        let paths: Vec<String> = (0..of_an_api).map(|n| format!("/items/kind{n}/{{id}}")).collect();
        let routes = paths.iter().enumerate();
        let routes = routes.map(|(n, path)| (path.as_str(), [(HttpMethod::Get, n)]));
        let router = Router::build(routes).expect("the paths differ");
        let id = format!("api{api:07}");
        hosts = hosts.stage(&id, "prod", router).default_endpoint(&format!("{id}.example"), &id);
    }
    let asked: Vec<(String, String)> = (0..ASKED)
        .map(|n| {
            let api = n * apis / ASKED;
            let kind = n * of_an_api / ASKED;
            (format!("api{api:07}.example"), format!("/prod/items/kind{kind}/7"))
        })
        .collect();
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        for (host, path) in &asked {
            let located = hosts.locate(Some(black_box(host)), black_box(path));
            let located = located.expect("the stage is there");
            let mut parameters = PathParameters::default();
            let found = located.stage.find(b"GET", located.path, &mut parameters);
            black_box(found.expect("the method is there"));
        }
    }
    begun.elapsed().as_nanos() as f64 / (ROUNDS * ASKED) as f64
}
