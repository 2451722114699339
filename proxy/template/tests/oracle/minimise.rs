//! Makes a template that renders differently, and the JSON it reads, as small as they get.

use serde_json::Value;

use crate::oracle::Oracle;
use crate::values::Values;
use crate::{Comparison, agree, compare, departures, is_panic};

/// Takes away what isn't needed for an unexplained difference of the same kind.
pub fn minimise(
    oracle: &mut Oracle,
    mut difference: Comparison,
    mut values: Values,
) -> (Comparison, Values) {
    let wanted = kind(&difference);
    let mut differs = |template: &str, values: &Values| {
        let (candidate, _) = compare(oracle, template, values);
        let same = !agree(&candidate)
            && kind(&candidate) == wanted
            && departures::explain(&candidate).is_none();
        same.then_some(candidate)
    };
    let mut shrunk = difference.template.clone();
    shrink(&mut shrunk, |template| match differs(template, &values) {
        Some(smaller) => {
            difference = smaller;
            true
        }
        None => false,
    });
    if let Some(path) = values.0["variables"]["path"].as_str() {
        let mut path = path.to_owned();
        shrink(&mut path, |path| {
            let smaller = values.with_path(path);
            let still = differs(&difference.template, &smaller).is_some();
            if still {
                values = smaller;
            }
            still
        });
        while let Some(smaller) =
            documents(&values).find(|smaller| differs(&difference.template, smaller).is_some())
        {
            values = smaller;
        }
        let last = differs(&difference.template, &values);
        difference = last.unwrap_or(difference);
    }
    (difference, values)
}

/// Which side failed.
fn kind(one: &Comparison) -> (bool, bool, bool) {
    (one.velocity.is_ok(), one.ours.is_ok(), is_panic(&one.ours))
}

/// Deletes ever smaller pieces while the rest `is_wanted`.
fn shrink(text: &mut String, mut is_wanted: impl FnMut(&str) -> bool) {
    let mut size = text.chars().count().div_ceil(2);
    while size > 0 {
        let characters: Vec<char> = text.chars().collect();
        let smaller = (0..characters.len()).step_by(size.div_ceil(2)).find_map(|start| {
            let end = (start + size).min(characters.len());
            let rest: String = characters[..start].iter().chain(&characters[end..]).collect();
            is_wanted(&rest).then_some(rest)
        });
        match smaller {
            Some(rest) => *text = rest,
            None => size /= 2,
        }
    }
}

/// The values with each possible single member or item of the payload left out.
fn documents(values: &Values) -> impl Iterator<Item = Values> + use<> {
    let body = values.0["body"].as_str().unwrap_or_default();
    let document: Value = serde_json::from_str(body).unwrap_or_default();
    let all = values.0.clone();
    smaller(&document).into_iter().map(move |document| {
        let mut values = all.clone();
        values["body"] = Value::from(document.to_string());
        Values(values)
    })
}

fn smaller(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Array(items) => {
            for index in 0..items.len() {
                let mut rest = items.clone();
                rest.remove(index);
                all.push(Value::from(rest));
            }
            for (index, item) in items.iter().enumerate() {
                for item in smaller(item) {
                    let mut changed = items.clone();
                    changed[index] = item;
                    all.push(Value::from(changed));
                }
            }
        }
        Value::Object(map) => {
            for key in map.keys() {
                let mut rest = map.clone();
                rest.shift_remove(key);
                all.push(Value::from(rest));
            }
            for (key, item) in map {
                for item in smaller(item) {
                    let mut changed = map.clone();
                    changed[key] = item;
                    all.push(Value::from(changed));
                }
            }
        }
        _ => {}
    }
    all
}
