//! The command line: what can be typed, what it defaults to, and what `--help` says.

pub mod deploy;
pub mod plugin;
pub mod store;
pub mod throttle;
pub mod usage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tollgate_gateway::config::AccessLogDestination;
use tollgate_gateway::usage::{ApiKeyValue, Throttle};

use self::plugin::PluginCommand;
use self::throttle::ThrottleCommand;
use self::usage::{ApiKeyCommand, UsageArgs};
use crate::config::{usage as usage_values, values};

/// Amazon API Gateway for your own edge Linux hosts.
///
/// Tollgate serves OpenAPI definitions with the x-amazon-apigateway-* extensions, as API
/// Gateway would.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, propagate_version = false, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  tollgate dev petstore.yaml                       serve a definition on this machine
  tollgate check petstore.yaml                     read a definition and say what is in it
  tollgate serve --config /etc/tollgate/tollgate.yaml

Exit codes: 0 done, 1 something is wrong with a file or an address (standard error says what),
2 wrong command line.
TOLLGATE_LOG sets the log level (error, warn, info, debug, trace, or a filter); logs go to
standard error.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve definitions on this machine, and again whenever they change
    Dev(Box<DevArgs>),
    /// Serve what a configuration file says: production
    Serve(ServeArgs),
    /// Read a configuration and definitions without serving them, and say what is in them
    Check(CheckArgs),
    /// Print what a mapping template makes of a payload
    Render(RenderArgs),
    /// Try a plugin, or look into one
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// See and change what the kernel throttles, while the gateway runs
    #[command(subcommand)]
    Throttle(ThrottleCommand),
    /// Say what API keys have used of a usage plan, or grant them more
    Usage(UsageArgs),
    /// Import a definition, deploy it and switch a stage over, through a management API
    Deploy(Box<deploy::DeployArgs>),
    /// Let a stage serve an earlier deployment again
    Rollback(deploy::RollbackArgs),
    /// End a stage's canary
    #[command(subcommand)]
    Canary(deploy::CanaryCommand),
    /// Check, copy, restore or print the control plane's store
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Make API keys
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// About the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// An upstream to try things with: answers every request with what it received, as JSON
    Echo(EchoArgs),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  tollgate completions bash > /etc/bash_completion.d/tollgate"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate dev
  tollgate dev petstore.yaml
  tollgate dev pets.yaml orders.json --stage test --stage-variable backend=10.0.0.7:8080
  tollgate dev petstore.yaml --http 127.0.0.1:0 --output json
  tollgate dev petstore.yaml --plugin jwt.wasm=jwt.json --upstream jwks=127.0.0.1:8081

The first definition is also served at the root of every host name that matches nothing else,
without its stage: curl http://127.0.0.1:8080/pets

Definitions are read again when their files change. One that no longer loads keeps the version
before it serving, and standard error says why.

Signals: TERM finishes the requests under way and exits, INT exits, HUP reads everything again.")]
pub struct DevArgs {
    /// OpenAPI definitions, YAML or JSON; without one, APIs come through the management API
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Address for HTTP; port 0 takes a free one, and the one taken is printed
    #[arg(long, env = "TOLLGATE_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = values::listen_address)]
    pub http: SocketAddr,

    /// Address for HTTPS, with a self-signed certificate for localhost and *.localhost
    #[arg(long, env = "TOLLGATE_HTTPS", value_name = "ADDR", default_value = "127.0.0.1:8443", value_parser = values::listen_address)]
    pub https: SocketAddr,

    /// Address for health checks and metrics
    #[arg(long, env = "TOLLGATE_MANAGEMENT", value_name = "ADDR", default_value = "127.0.0.1:9080", value_parser = values::listen_address)]
    pub management: SocketAddr,

    /// Address for AWS's management API (aws apigateway --endpoint-url), on this machine only: any
    /// access key is good
    #[arg(long, env = "TOLLGATE_MANAGEMENT_API", value_name = "ADDR", default_value = "127.0.0.1:9081", value_parser = values::listen_address)]
    pub management_api: SocketAddr,

    /// Where what the management API is told is kept [default: in memory, gone at the end]
    #[arg(long, env = "TOLLGATE_DATA_DIRECTORY", value_name = "DIR")]
    pub data_directory: Option<PathBuf>,

    #[command(flatten)]
    pub stage: StageArgs,

    /// Worker threads [default: one for each CPU]
    #[arg(long, env = "TOLLGATE_WORKERS", value_name = "N", value_parser = workers)]
    pub workers: Option<usize>,

    /// Where access log lines go: a file, - for standard output, or off
    /// [default: -; off with --output json, so that its lines are not mixed with others]
    #[arg(long, env = "TOLLGATE_ACCESS_LOG", value_name = "FILE|-|off", value_parser = access_log)]
    pub access_log: Option<AccessLogDestination>,

    /// Also start an upstream that answers with what it receives; its host:port becomes the
    /// stage variable `echo` [ADDR default: 127.0.0.1:0]
    #[arg(long, env = "TOLLGATE_ECHO", value_name = "ADDR", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:0", value_parser = values::listen_address)]
    pub echo: Option<SocketAddr>,

    #[command(flatten)]
    pub plugins: PluginArgs,

    /// What each method lets through: requests a second, and at once [BURST default: 5000]
    #[arg(long, value_name = "RATE[:BURST]", value_parser = throttle)]
    pub throttle: Option<Throttle>,

    /// What all APIs together let through; raise it to measure how fast they are [default:
    /// 10000:5000, as on AWS]
    #[arg(long, value_name = "RATE[:BURST]", value_parser = throttle)]
    pub account_throttle: Option<Throttle>,

    /// An API key that is good for every method; give it again for more
    #[arg(long = "api-key", value_name = "VALUE", value_parser = usage_values::key_value)]
    pub api_keys: Vec<ApiKeyValue>,

    /// Drop packets of clients that send too many, in the kernel: 1,000 new connections a second
    /// and 50,000 packets a second for each address, and a penalty box. Needs root, or CAP_BPF,
    /// CAP_NET_ADMIN and CAP_PERFMON; without them connections are refused instead
    #[arg(long, value_name = "IFACE", value_parser = crate::config::throttle::interface)]
    pub kernel_throttle: Option<String>,

    /// What to print once the APIs serve: text, or one line of JSON for each API
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// Plugins for every method of all definitions.
#[derive(Debug, Clone, Default, Args)]
pub struct PluginArgs {
    /// A WASM plugin for every method: an authorizer takes the place of the methods' own
    /// authorization, other plugins change requests and responses, in the order given. One that
    /// a definition names is attached where it is named. After = comes the file with its
    /// configuration. Loaded again when a file changes; give it again for more
    #[arg(long = "plugin", value_name = "PATH[=CONFIG_FILE]")]
    pub plugins: Vec<PathBuf>,

    /// An upstream that plugins may call by this name; give it again for more
    #[arg(long = "upstream", value_name = "NAME=HOST:PORT", value_parser = upstream)]
    pub upstreams: Vec<KeyValue>,

    /// Go on without a transformer that fails, instead of answering 500
    #[arg(long)]
    pub plugin_fail_open: bool,

    /// Let component plugins use WASI: clocks, random numbers, and output to the log
    #[arg(long)]
    pub plugin_wasi: bool,

    /// The root context that proxy-wasm plugins run, for files that hold several [default: the
    /// one without a name]
    #[arg(long, value_name = "ROOT_ID")]
    pub plugin_root_id: Option<String>,
}

/// What a definition is read with.
#[derive(Debug, Clone, Args)]
pub struct StageArgs {
    /// The stage's name
    #[arg(long, env = "TOLLGATE_STAGE", value_name = "NAME", default_value = "dev", value_parser = values::stage_name)]
    pub stage: String,

    /// A stage variable; give it again for more
    /// [env: TOLLGATE_STAGE_VARIABLE, several separated by spaces]
    #[arg(long = "stage-variable", value_name = "KEY=VALUE", value_parser = stage_variable)]
    pub stage_variables: Vec<KeyValue>,

    /// A value for a Ref or Fn::Sub inside the definitions; give it again for more
    /// [env: TOLLGATE_PARAM, several separated by spaces]
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub parameters: Vec<KeyValue>,

    /// The region that APIs say they are in
    #[arg(long, env = "TOLLGATE_REGION", value_name = "REGION", default_value = "us-east-1", value_parser = values::region)]
    pub region: String,

    /// The AWS account that APIs say they belong to: 12 digits
    #[arg(long, env = "TOLLGATE_ACCOUNT_ID", value_name = "ID", default_value = "000000000000", value_parser = values::account_id)]
    pub account_id: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate serve --config /etc/tollgate/tollgate.yaml

Everything is read and checked before anything is served; what is wrong is one line on standard
error, and the exit code is 1. `tollgate config schema` describes the file.

Signals: TERM finishes the requests under way and exits, INT exits, HUP reads certificates and
definitions again, USR2 hands the listening sockets to the binary that is now at this one's
place and exits when it serves.")]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate check petstore.yaml
  tollgate check --config /etc/tollgate/tollgate.yaml
  tollgate check --output json *.yaml

Exit codes: 0 everything loads (warnings do not count), 1 something does not.")]
pub struct CheckArgs {
    /// A configuration file, with everything it names: definitions, certificates, VPC links
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// OpenAPI definitions, YAML or JSON
    #[arg(value_name = "DEFINITION", required_unless_present = "config")]
    pub definitions: Vec<PathBuf>,

    #[command(flatten)]
    pub stage: StageArgs,

    /// How to print what was found
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate render --template pets.vtl --input pets.json
  tollgate render --template pets.vtl --input pets.json --context request.json
  curl http://localhost:3000/pets | tollgate render --template pets.vtl --input -

A FILE named - is standard input; one of the three can be. For an empty payload: --input /dev/null

The context file is JSON; each key may be left out:
  {
    \"params\": {\"path\": {\"id\": \"7\"}, \"querystring\": {}, \"header\": {\"Accept\": \"*/*\"}},
    \"context\": {\"stage\": \"prod\", \"identity\": {\"sourceIp\": \"192.0.2.1\"}},
    \"stageVariables\": {\"backend\": \"10.0.0.7:8080\"},
    \"variables\": {\"name\": \"what $name is; API Gateway has none\"}
  }

Exit codes: 0 rendered, 1 the template or a file is wrong: one line on standard error, with line
and column, and nothing on standard output.")]
pub struct RenderArgs {
    /// The mapping template, UTF-8, up to 300 KB
    #[arg(long, value_name = "FILE")]
    pub template: PathBuf,

    /// The payload: $input.body, up to 10 MB
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,

    /// What the template reads besides the payload, as JSON
    #[arg(long, value_name = "FILE")]
    pub context: Option<PathBuf>,

    /// Also print what the template overrides of request and response, as a line of JSON on
    /// standard error
    #[arg(long)]
    pub overrides: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the JSON Schema of the configuration file: every key with unit, range and default
    Schema,
}

#[derive(Debug, Args)]
pub struct EchoArgs {
    /// Address for HTTP/1.1; port 0 takes a free one, and the one taken is printed
    #[arg(long, env = "TOLLGATE_ECHO_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = values::listen_address)]
    pub listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err("allowed: KEY=VALUE".to_owned()),
        }
    }
}

impl StageArgs {
    /// Takes what the command line leaves open from the environment. Clap cannot do this for
    /// options that may be given more than once, without also splitting the values that are
    /// typed.
    pub fn fill_from_environment(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        if self.stage_variables.is_empty() {
            self.stage_variables = pairs("TOLLGATE_STAGE_VARIABLE", &variable, stage_variable)?;
        }
        if self.parameters.is_empty() {
            self.parameters = pairs("TOLLGATE_PARAM", &variable, KeyValue::from_str)?;
        }
        Ok(())
    }
}

impl DevArgs {
    /// Where access log lines go when nobody said so: to the terminal, but never between the
    /// JSON lines that another program reads.
    pub fn access_log_destination(&self) -> AccessLogDestination {
        match (&self.access_log, self.output) {
            (Some(destination), _) => destination.clone(),
            (None, Output::Text) => AccessLogDestination::Stdout,
            (None, Output::Json) => AccessLogDestination::Off,
        }
    }
}

/// `RATE` or `RATE:BURST`.
fn throttle(text: &str) -> Result<Throttle, String> {
    let (rate, burst) = match text.split_once(':') {
        Some((rate, burst)) => (rate, usage_values::burst(burst)?),
        None => (text, Throttle::ACCOUNT_BURST),
    };
    let throttle = Throttle::new(usage_values::rate(rate)?, burst);
    throttle.map_err(|_| "the rate is out of its range".to_owned())
}

fn pairs(
    name: &str,
    variable: impl Fn(&str) -> Option<String>,
    parse: impl Fn(&str) -> Result<KeyValue, String>,
) -> Result<Vec<KeyValue>, String> {
    variable(name)
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(|pair| {
            parse(pair)
                .map_err(|problem| format!("environment variable {name}: {pair:?}: {problem}"))
        })
        .collect()
}

fn stage_variable(text: &str) -> Result<KeyValue, String> {
    let pair: KeyValue = text.parse()?;
    values::stage_variable(&pair.key, &pair.value)?;
    Ok(pair)
}

fn upstream(text: &str) -> Result<KeyValue, String> {
    let pair: KeyValue = text.parse().map_err(|_| "allowed: NAME=HOST:PORT".to_owned())?;
    values::upstream_address(&pair.value)?;
    Ok(pair)
}

fn workers(text: &str) -> Result<usize, String> {
    values::count(text, 1..=crate::config::MAXIMUM_WORKERS).map(|number| number as usize)
}

pub fn access_log(text: &str) -> Result<AccessLogDestination, String> {
    match text {
        "" => Err("allowed: a file, - for standard output, or off".to_owned()),
        "off" => Ok(AccessLogDestination::Off),
        "-" => Ok(AccessLogDestination::Stdout),
        file => Ok(AccessLogDestination::File(PathBuf::from(file))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn dev_defaults_are_the_documented_ones() {
        let args = dev(&["pets.yaml"]).unwrap();
        assert_eq!(args.http.to_string(), "127.0.0.1:8080");
        assert_eq!(args.https.to_string(), "127.0.0.1:8443");
        assert_eq!(args.management.to_string(), "127.0.0.1:9080");
        assert_eq!(args.stage.stage, "dev");
        assert_eq!(args.stage.region, "us-east-1");
        assert_eq!(args.stage.account_id, "000000000000");
        assert_eq!(args.output, Output::Text);
        assert_eq!(args.workers, None);
        assert_eq!(args.echo, None);
        assert_eq!(args.access_log_destination(), AccessLogDestination::Stdout);
    }

    #[test]
    fn dev_takes_several_definitions_and_repeated_pairs() {
        let args = dev(&[
            "a.yaml",
            "b.json",
            "--stage-variable",
            "backend=10.0.0.7:80,81",
            "--stage-variable=x=",
            "--param",
            "Env=a=b c",
        ])
        .unwrap();
        assert_eq!(args.files, [PathBuf::from("a.yaml"), PathBuf::from("b.json")]);
        assert_eq!(args.stage.stage_variables, [pair("backend", "10.0.0.7:80,81"), pair("x", "")]);
        assert_eq!(args.stage.parameters, [pair("Env", "a=b c")]);
    }

    #[test]
    fn access_lines_are_off_where_a_program_reads_json_unless_asked_for() {
        let destination = |arguments: &[&str]| dev(arguments).unwrap().access_log_destination();
        assert_eq!(destination(&["a.yaml", "--output", "json"]), AccessLogDestination::Off);
        assert_eq!(
            destination(&["a.yaml", "--output", "json", "--access-log", "-"]),
            AccessLogDestination::Stdout
        );
        assert_eq!(destination(&["a.yaml", "--access-log", "off"]), AccessLogDestination::Off);
        assert_eq!(
            destination(&["a.yaml", "--access-log", "x.log"]),
            AccessLogDestination::File("x.log".into())
        );
    }

    #[test]
    fn echo_takes_a_free_port_unless_told_which() {
        assert_eq!(dev(&["--echo", "a.yaml"]).unwrap().echo, Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!(
            dev(&["--echo=127.0.0.1:9", "a.yaml"]).unwrap().echo,
            Some("127.0.0.1:9".parse().unwrap())
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_is_allowed() {
        for (arguments, message) in [
            (&["a.yaml", "--http", "localhost:8080"][..], "allowed: IP:PORT"),
            (&["a.yaml", "--account-id", "12"], "allowed: 12 digits"),
            (&["a.yaml", "--workers", "0"], "allowed: a whole number from 1 to 1024"),
            (&["a.yaml", "--stage-variable", "x"], "allowed: KEY=VALUE"),
            (&["a.yaml", "--stage-variable", "x=a b"], "allowed: up to 512 of"),
            (&["a.yaml", "--stage", "a/b"], "allowed: 1 to 128 of"),
            (&["a.yaml", "--region", "US East"], "such as us-east-1"),
            (&["a.yaml", "--output", "xml"], "possible values: text, json"),
        ] {
            let error = dev(arguments).unwrap_err().to_string();
            assert!(error.contains(message), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn pairs_come_from_the_environment_when_none_are_typed() {
        let environment = |name: &str| match name {
            "TOLLGATE_STAGE_VARIABLE" => Some("a=1 b=2".to_owned()),
            "TOLLGATE_PARAM" => Some("Env=prod".to_owned()),
            _ => None,
        };
        let mut args = dev(&["a.yaml", "--param", "Env=test"]).unwrap().stage;
        args.fill_from_environment(environment).unwrap();
        assert_eq!(args.stage_variables, [pair("a", "1"), pair("b", "2")]);
        assert_eq!(args.parameters, [pair("Env", "test")]);

        let mut args = dev(&["a.yaml"]).unwrap().stage;
        let error = args.fill_from_environment(|_| Some("oops".to_owned())).unwrap_err();
        assert_eq!(
            error,
            "environment variable TOLLGATE_STAGE_VARIABLE: \"oops\": allowed: KEY=VALUE"
        );
    }

    #[test]
    fn check_needs_a_configuration_or_a_definition() {
        assert!(Cli::try_parse_from(["tollgate", "check"]).is_err());
        assert!(Cli::try_parse_from(["tollgate", "check", "a.yaml"]).is_ok());
        assert!(Cli::try_parse_from(["tollgate", "check", "--config", "c.yaml"]).is_ok());
    }

    fn dev(arguments: &[&str]) -> Result<DevArgs, clap::Error> {
        let line = ["tollgate", "dev"].iter().chain(arguments);
        match Cli::try_parse_from(line)?.command {
            Command::Dev(args) => Ok(*args),
            other => unreachable!("{other:?} is not dev"),
        }
    }

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.to_owned(), value: value.to_owned() }
    }
}
