//! What can be typed after `tollgate deploy`, `tollgate rollback` and `tollgate canary`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{KeyValue, Output, stage_variable};
use crate::config::values;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate deploy petstore.yaml --api petstore --stage prod
  tollgate deploy petstore.yaml --api petstore --stage prod --variable backend=10.0.0.7:8080
  tollgate deploy petstore.yaml --api petstore --stage prod --canary 10
  render-definition | tollgate deploy - --api petstore --stage prod --output json

An API of that name is changed; if there is none, it is made. When something is refused on the
way, the stage goes on serving what it served, and an API that was made is deleted again. To go
back: tollgate rollback. To end a canary: tollgate canary.

Requests are signed with the access key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and
AWS_SESSION_TOKEN). tollgate dev needs none.

Exit codes: 0 it is served; 1 it isn't: standard error says why.")]
pub struct DeployArgs {
    /// An OpenAPI definition, YAML or JSON, up to 6 MB; - is standard input
    pub file: PathBuf,

    #[command(flatten)]
    pub target: TargetArgs,

    /// A stage variable; it takes the place of the stage's own of that name, the others stay. For
    /// a canary only. Give it again for more
    #[arg(long = "variable", value_name = "KEY=VALUE", value_parser = stage_variable)]
    pub variables: Vec<KeyValue>,

    /// What to say of the deployment
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,

    /// Serve this share of the stage's requests only, the others as before: 0 to 100
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub canary: Option<f64>,

    /// What becomes of what the API has and the definition doesn't mention: gone, or kept
    #[arg(long, value_name = "MODE", default_value = "overwrite")]
    pub mode: Mode,

    /// Refuse a definition of which something can't be taken over
    #[arg(long)]
    pub fail_on_warnings: bool,

    /// What becomes of a path in the definition's basePath or servers: nothing, it is put before
    /// all paths, or its first part is left out
    #[arg(long, value_name = "HOW", default_value = "ignore")]
    pub base_path: BasePath,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    /// How to print what was done
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate rollback --api petstore --stage prod --to a1b2c3
  tollgate rollback --api petstore --stage prod

Without --to it is the deployment made before the one that is served. Where that isn't certain to
be one that this stage has served, because the API has other stages or two deployments were made
in the same second, nothing is changed and the deployments are listed.

Only the deployment changes: stage variables and settings stay as they are, and so does a canary.

Exit codes: 0 it is served; 1 it isn't: standard error says why.")]
pub struct RollbackArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    /// The deployment to serve
    #[arg(long, value_name = "DEPLOYMENT_ID")]
    pub to: Option<String>,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    /// How to print what was done
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Subcommand)]
pub enum CanaryCommand {
    /// Serve the canary's deployment, with its stage variables, to everybody
    #[command(after_help = "Example:\n  tollgate canary promote --api petstore --stage prod")]
    Promote(CanaryArgs),
    /// Serve nobody the canary any more
    #[command(after_help = "\
Example:
  tollgate canary abandon --api petstore --stage prod

The canary's deployment is kept.")]
    Abandon(CanaryArgs),
}

#[derive(Debug, Args)]
pub struct CanaryArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    /// How to print what was done
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// Which stage of which API.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// The API's name
    #[arg(long, value_name = "NAME", required_unless_present = "api_id")]
    pub api: Option<String>,

    /// The API's id, where several have that name
    #[arg(long, value_name = "ID", value_parser = values::api_id)]
    pub api_id: Option<String>,

    /// The stage
    #[arg(long, value_name = "NAME", value_parser = values::stage_name)]
    pub stage: String,
}

/// Where the management API is. What isn't typed comes from the environment, by the names that
/// the AWS tools know.
#[derive(Debug, Args)]
pub struct EndpointArgs {
    /// The management API
    /// [env: AWS_ENDPOINT_URL_API_GATEWAY, AWS_ENDPOINT_URL] [default: http://127.0.0.1:9081]
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,

    /// The gateway's region, which requests are signed for
    /// [env: AWS_REGION, AWS_DEFAULT_REGION] [default: us-east-1]
    #[arg(long, value_name = "REGION", value_parser = values::region)]
    pub region: Option<String>,

    /// Trust the certificates in this PEM file, in place of the system's
    /// [env: AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// `mode` of PutRestApi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Overwrite,
    Merge,
}

/// `basepath` of ImportRestApi and PutRestApi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BasePath {
    Ignore,
    Prepend,
    Split,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("allowed: a number from 0 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_deployment_needs_a_file_an_api_and_a_stage() {
        let minimal = deploy(&["a.yaml", "--api", "pets", "--stage", "prod"]).unwrap();
        assert_eq!(minimal.mode, Mode::Overwrite);
        assert_eq!(minimal.base_path, BasePath::Ignore);
        assert_eq!(minimal.output, Output::Text);
        assert!(deploy(&["a.yaml", "--api-id", "a1b2c3d4e5", "--stage", "prod"]).is_ok());
        for (arguments, message) in [
            (&["--api", "pets", "--stage", "prod"][..], "<FILE>"),
            (&["a.yaml", "--stage", "prod"], "--api"),
            (&["a.yaml", "--api", "pets"], "--stage"),
            (&["a.yaml", "--api-id", "../x", "--stage", "prod"], "allowed: 10 characters"),
            (&["a.yaml", "--api", "p", "--stage", "a/b"], "allowed: 1 to 128 of"),
            (&["a.yaml", "--api", "p", "--stage", "s", "--canary", "101"], "from 0 to 100"),
            (&["a.yaml", "--api", "p", "--stage", "s", "--canary", "NaN"], "from 0 to 100"),
            (&["a.yaml", "--api", "p", "--stage", "s", "--variable", "x"], "allowed: KEY=VALUE"),
        ] {
            let error = deploy(arguments).unwrap_err().to_string();
            assert!(error.contains(message), "{arguments:?}: {error}");
        }
    }

    fn deploy(arguments: &[&str]) -> Result<DeployArgs, clap::Error> {
        let line = ["tollgate", "deploy"].iter().chain(arguments);
        match Cli::try_parse_from(line)?.command {
            Command::Deploy(args) => Ok(*args),
            other => unreachable!("{other:?} is not deploy"),
        }
    }
}
