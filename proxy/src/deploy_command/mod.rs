//! `tollgate deploy`, `tollgate rollback` and `tollgate canary`: what takes a handful of
//! operations of the management API, in one go, for people without the AWS tools.
//!
//! ```text
//!  endpoint ──▶ client (HTTP, SigV4) ──▶ operations ──▶ deploy, rollback, canary ──▶ outcome
//! ```
//!
//! Only the operation that deploys touches what a stage serves, and the management API carries
//! it out whole or not at all: whatever fails before it leaves the stage as it was.

mod endpoint;
mod client;
mod operations;
mod rollback;
mod outcome;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use client::{CallError, Client};
use endpoint::Endpoint;
use operations::{Deployment, Management, RestApi, Stage};
use outcome::{Canary, Outcome};

use crate::cli::deploy::{
    CanaryArgs, CanaryCommand, DeployArgs, EndpointArgs, RollbackArgs, TargetArgs,
};
use crate::definitions::reason;

/// Bytes of a definition: as ImportRestApi takes them.
const MAXIMUM_DEFINITION: usize = 6 * 1024 * 1024;

pub fn deploy(args: &DeployArgs) -> anyhow::Result<ExitCode> {
    let definition = definition(&args.file)?;
    let management = management(&args.endpoint)?;
    let mut outcome = match find(&management, &args.target)? {
        Some(api) => change(&management, &api, definition, args)?,
        None => make(&management, definition, args)?,
    };
    if !outcome.is_default_endpoint_disabled {
        outcome.invoke_url = management.invoke_url(&outcome.api_id, &outcome.stage);
    }
    outcome.print(args.output, &args.endpoint)
}

pub fn rollback(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let management = management(&args.endpoint)?;
    let (api, stages, stage) = known_stage(&management, &args.target)?;
    let to = match &args.to {
        Some(id) => id.clone(),
        None => {
            let deployments = management.deployments(&api.id)?;
            rollback::before(&deployments, &stage, stages == 1)?.id.clone()
        }
    };
    let patches = json!([{ "op": "replace", "path": "/deploymentId", "value": to }]);
    let (now, warnings) = management.update_stage(&api.id, &stage.stage_name, &patches)?;
    let outcome = Outcome::of(&api, &now).after(&stage).with_warnings(warnings);
    outcome.print(args.output, &args.endpoint)
}

pub fn canary(command: &CanaryCommand) -> anyhow::Result<ExitCode> {
    /// As AWS's console does it, with the canary removed at the end.
    const PROMOTE: [(&str, &str); 2] = [
        ("/canarySettings/stageVariableOverrides", "/variables"),
        ("/canarySettings/deploymentId", "/deploymentId"),
    ];
    let remove = json!({ "op": "remove", "path": "/canarySettings" });
    match command {
        CanaryCommand::Promote(args) => {
            let copy = PROMOTE.map(|(from, to)| json!({ "op": "copy", "from": from, "path": to }));
            end_canary(args, copy.into_iter().chain([remove]).collect())
        }
        CanaryCommand::Abandon(args) => end_canary(args, json!([remove])),
    }
}

fn end_canary(args: &CanaryArgs, patches: Value) -> anyhow::Result<ExitCode> {
    let management = management(&args.endpoint)?;
    let (api, _, stage) = known_stage(&management, &args.target)?;
    ensure!(stage.canary_settings.is_some(), "stage {} has no canary", stage.stage_name);
    let (now, warnings) = management.update_stage(&api.id, &stage.stage_name, &patches)?;
    let outcome = Outcome::of(&api, &now).after(&stage).with_warnings(warnings);
    outcome.print(args.output, &args.endpoint)
}

/// Imports and deploys the definition of a new API.
fn make(management: &Management, definition: Bytes, args: &DeployArgs) -> anyhow::Result<Outcome> {
    let stage = &args.target.stage;
    ensure!(
        args.canary.is_none(),
        "there is no API {:?} yet, so stage {stage} can't have a canary; deploy without --canary first",
        args.target.api.as_deref().unwrap_or_default()
    );
    let mut api = management.import_rest_api(definition, &import_query(args)).map_err(|error| {
        let unsure = !error.changed_nothing();
        let rest =
            if unsure { "; there may be a new API named as the definition's title" } else { "" };
        anyhow!("{error}{rest}")
    })?;
    let name = args.target.api.clone().unwrap_or_else(|| api.name.clone());
    let deployed = put_live(management, &mut api, name, None, args);
    let (deployment, warnings) = deployed.map_err(|error| {
        let id = &api.id;
        match management.delete_rest_api(id) {
            Ok(()) => anyhow!("{error}; nothing is served: the new API {id} is deleted again"),
            Err(left) => anyhow!("{error}; the new API {id} is left behind: {left}"),
        }
    })?;
    Ok(Outcome { is_new: true, ..outcome(api, deployment, None, args) }.with_warnings(warnings))
}

/// Changes an API's definition, and deploys it.
fn change(
    management: &Management,
    api: &RestApi,
    definition: Bytes,
    args: &DeployArgs,
) -> anyhow::Result<Outcome> {
    let mut stages = management.stages(&api.id)?.into_iter();
    let stage = stages.find(|stage| stage.stage_name == args.target.stage);
    check_canary(stage.as_ref(), args)?;
    let mode = value_name(args.mode);
    let mut changed = management
        .put_rest_api(&api.id, &mode, definition, &import_query(args))
        .map_err(|error| anyhow!("{error}; {}", still_serves(stage.as_ref(), args)))?;
    let deployed = put_live(management, &mut changed, api.name.clone(), stage.as_ref(), args);
    let (deployment, warnings) = deployed.map_err(|error| {
        let rest = match error.changed_nothing() {
            true => still_serves(stage.as_ref(), args),
            false => format!("stage {} may serve the new definition", args.target.stage),
        };
        anyhow!("{error}; {rest}; the definition in progress is the new one")
    })?;
    Ok(outcome(changed, deployment, stage, args).with_warnings(warnings))
}

/// Gives an API that was imported its name, and deploys it.
fn put_live(
    management: &Management,
    api: &mut RestApi,
    name: String,
    stage: Option<&Stage>,
    args: &DeployArgs,
) -> Result<(Deployment, Vec<String>), CallError> {
    // An import calls it as the definition's title does.
    if api.name != name {
        management.rename_rest_api(&api.id, &name)?;
        api.name = name;
    }
    management.create_deployment(&api.id, &deployment_input(stage, args))
}

/// What the management API would refuse only after the import.
fn check_canary(stage: Option<&Stage>, args: &DeployArgs) -> anyhow::Result<()> {
    let name = &args.target.stage;
    match (stage, args.canary) {
        (None, Some(_)) => {
            bail!(
                "there is no stage {name} yet that could have a canary; deploy without --canary first"
            )
        }
        (Some(Stage { canary_settings: Some(canary), .. }), None) => bail!(
            "stage {name} has a canary of {} %; tollgate canary promote or abandon ends it, --canary replaces it",
            canary.percent_traffic
        ),
        _ => Ok(()),
    }
}

fn deployment_input(stage: Option<&Stage>, args: &DeployArgs) -> Value {
    let given = args.variables.iter().map(|it| (it.key.clone(), it.value.clone()));
    let mut given: BTreeMap<String, String> = given.collect();
    let mut input = Map::new();
    input.insert("stageName".to_owned(), json!(args.target.stage));
    if let Some(description) = &args.description {
        input.insert("description".to_owned(), json!(description));
    }
    if let Some(percent) = args.canary {
        let canary = json!({ "percentTraffic": percent, "stageVariableOverrides": given });
        input.insert("canarySettings".to_owned(), canary);
    } else if !given.is_empty() {
        // What CreateDeployment gets takes the place of all the stage has.
        for (name, value) in stage.iter().flat_map(|stage| &stage.variables) {
            given.entry(name.clone()).or_insert_with(|| value.clone());
        }
        input.insert("variables".to_owned(), json!(given));
    }
    Value::Object(input)
}

fn outcome(
    api: RestApi,
    deployment: Deployment,
    before: Option<Stage>,
    args: &DeployArgs,
) -> Outcome {
    let outcome = Outcome::of_deployment(&api, &args.target.stage, deployment.id);
    let warned = api.warnings;
    let Some(stage) = before else { return outcome.with_warnings(warned) };
    let outcome = match args.canary {
        None => outcome.after(&stage),
        Some(percent_traffic) => {
            let deployment_id = outcome.deployment_id;
            let canary = Some(Canary { deployment_id, percent_traffic });
            Outcome { deployment_id: stage.deployment_id, canary, ..outcome }
        }
    };
    outcome.with_warnings(warned)
}

fn still_serves(stage: Option<&Stage>, args: &DeployArgs) -> String {
    match stage {
        Some(Stage { stage_name, deployment_id, .. }) => {
            format!("stage {stage_name} goes on serving deployment {deployment_id}")
        }
        None => format!("there is still no stage {}", args.target.stage),
    }
}

fn import_query(args: &DeployArgs) -> String {
    let warnings = if args.fail_on_warnings { "&failonwarnings=true" } else { "" };
    format!("{warnings}&basepath={}", value_name(args.base_path))
}

/// As the command line has it, which is as the API has it.
fn value_name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
}

fn management(args: &EndpointArgs) -> anyhow::Result<Management> {
    let endpoint = Endpoint::new(args, |name| std::env::var(name).ok())?;
    Ok(Management::new(Client::new(endpoint)?))
}

/// The API that is meant. `None`: none has that name.
fn find(management: &Management, target: &TargetArgs) -> anyhow::Result<Option<RestApi>> {
    let Some(id) = &target.api_id else {
        let name = target.api.as_deref().unwrap_or_default();
        ensure!(!name.is_empty(), "--api: is empty; allowed: an API's name");
        let mut named = management.rest_apis()?;
        named.retain(|api| api.name == name);
        let ids: Vec<_> = named.iter().map(|api| api.id.as_str()).collect();
        ensure!(
            ids.len() < 2,
            "{} APIs are named {name:?}: {}; --api-id says which",
            ids.len(),
            ids.join(", ")
        );
        return Ok(named.pop());
    };
    let api = management.rest_api(id)?.with_context(|| format!("there is no API {id}"))?;
    if let Some(name) = target.api.as_ref().filter(|name| **name != api.name) {
        bail!("API {id} is named {:?}, not {name:?}", api.name);
    }
    Ok(Some(api))
}

/// The stage that is meant, its API, and how many stages that has.
fn known_stage(
    management: &Management,
    target: &TargetArgs,
) -> anyhow::Result<(RestApi, usize, Stage)> {
    let name = target.api.as_deref().unwrap_or_default();
    let api = find(management, target)?.with_context(|| format!("there is no API {name:?}"))?;
    let stages = management.stages(&api.id)?;
    let count = stages.len();
    let stage = stages.into_iter().find(|stage| stage.stage_name == target.stage);
    let stage = stage.with_context(|| {
        format!("API {:?} ({}) has no stage {}", api.name, api.id, target.stage)
    })?;
    Ok((api, count, stage))
}

/// Reads the file, or standard input.
fn definition(file: &Path) -> anyhow::Result<Bytes> {
    let is_standard_input = file.as_os_str() == "-";
    let name =
        if is_standard_input { "standard input".to_owned() } else { file.display().to_string() };
    let mut bytes = Vec::new();
    let limit = MAXIMUM_DEFINITION as u64 + 1;
    let read = match is_standard_input {
        true => io::stdin().take(limit).read_to_end(&mut bytes),
        false => File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| anyhow!("{name}: cannot be read: {}", reason(&error)))?;
    ensure!(
        bytes.len() <= MAXIMUM_DEFINITION,
        "{name}: is too long; allowed: up to 6 MB ({MAXIMUM_DEFINITION} bytes)"
    );
    Ok(bytes.into())
}
