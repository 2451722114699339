//! Which deployment a stage goes back to when nobody says.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use tollgate_throttle::Day;

use super::operations::{Deployment, Stage};

/// Deployments that an error lists.
const LISTED: usize = 10;
const SECONDS_OF_DAY: u64 = 86_400;

/// The deployment made before the one that the stage serves. An error, which lists what there is,
/// where it isn't certain to be one that this stage has served.
pub fn before<'d>(
    deployments: &'d [Deployment],
    stage: &Stage,
    is_only_stage: bool,
) -> anyhow::Result<&'d Deployment> {
    let Stage { stage_name, deployment_id, .. } = stage;
    let mut by_age: Vec<&Deployment> = deployments.iter().collect();
    by_age.sort_by(|a, b| b.created_date.total_cmp(&a.created_date));
    let unsure = |why: &str| anyhow::anyhow!("{why}; --to says which: {}", list(&by_age, stage));
    let current = deployments
        .iter()
        .find(|deployment| deployment.id == *deployment_id)
        .with_context(|| format!("stage {stage_name}: there is no deployment {deployment_id}"))?;
    if !is_only_stage {
        return Err(unsure("the API has other stages, whose deployments are among these"));
    }
    let same_age = |one: &&&Deployment, other: &Deployment| one.created_date == other.created_date;
    if by_age.iter().filter(|it| same_age(it, current)).count() > 1 {
        return Err(unsure("deployments were made in the same second"));
    }
    let mut older = by_age.iter().filter(|it| it.created_date < current.created_date);
    let Some(found) = older.next() else {
        bail!("stage {stage_name} serves the oldest deployment, {deployment_id}");
    };
    match older.next().filter(|it| same_age(it, found)) {
        Some(_) => Err(unsure("deployments were made in the same second")),
        None => Ok(found),
    }
}

/// The newest first.
fn list(deployments: &[&Deployment], stage: &Stage) -> String {
    let mut text = String::new();
    for deployment in deployments.iter().take(LISTED) {
        let separator = if text.is_empty() { "" } else { ", " };
        let served = if deployment.id == stage.deployment_id { ", served" } else { "" };
        let description = deployment.description.as_deref().filter(|text| !text.is_empty());
        let description = description.map(|text| format!(", {text:?}")).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{separator}{} ({}{description}{served})",
            deployment.id,
            time(deployment.created_date)
        );
    }
    match deployments.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} older"),
    }
}

/// In UTC: `2026-11-23T06:46:21Z`.
fn time(seconds: f64) -> String {
    // The cast saturates.
    let seconds = (seconds as u64).min(u64::from(u32::MAX));
    let (year, month, day) = Day::of_seconds(seconds).date();
    let second = seconds % SECONDS_OF_DAY;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_stage_goes_back_to_the_deployment_made_before_the_one_it_serves() {
        let made = [made("new", 30.0), made("old", 10.0), made("middle", 20.0)];
        assert_eq!(before(&made, &serving("new"), true).unwrap().id, "middle");
        assert_eq!(before(&made, &serving("middle"), true).unwrap().id, "old");
    }

    #[test]
    fn what_is_not_certain_is_left_to_the_operator() {
        let twins = [made("new", 30.0), made("one", 10.0), made("other", 10.0)];
        for (served, is_only_stage, message) in [
            (
                "new",
                true,
                "made in the same second; --to says which: new (1970-01-01T00:00:30Z, served), one (",
            ),
            ("one", true, "made in the same second"),
            ("new", false, "the API has other stages"),
            ("gone", true, "there is no deployment gone"),
        ] {
            let error = before(&twins, &serving(served), is_only_stage).unwrap_err().to_string();
            assert!(error.contains(message), "{served}: {error}");
        }
        let only = [made("only", 10.0)];
        let error = before(&only, &serving("only"), true).unwrap_err().to_string();
        assert_eq!(error, "stage prod serves the oldest deployment, only");
    }

    #[test]
    fn a_time_is_written_as_in_rfc_3339() {
        assert_eq!(time(1_795_416_381.0), "2026-11-23T06:46:21Z");
        assert_eq!(time(-1.0), "1970-01-01T00:00:00Z");
    }

    fn made(id: &str, created_date: f64) -> Deployment {
        Deployment { id: id.to_owned(), created_date, description: None }
    }

    fn serving(id: &str) -> Stage {
        Stage {
            stage_name: "prod".to_owned(),
            deployment_id: id.to_owned(),
            variables: BTreeMap::new(),
            canary_settings: None,
        }
    }
}
