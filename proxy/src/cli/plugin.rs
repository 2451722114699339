//! What can be typed after `tollgate plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{KeyValue, Output, upstream};

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Run a plugin on a request without a gateway: its decision, edits, log lines and cost
    Test(PluginTestArgs),
    /// Say what a plugin is: kind, ABI, imports, size
    Inspect(PluginInspectArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate plugin test authorizer.wasm --request request.json
  tollgate plugin test filter.wasm --request request.json --config filter.yaml
  tollgate plugin test jwt.wasm --request request.json --config jwt.json --upstream jwks=127.0.0.1:8081

The request file is JSON; each key may be left out:
  {
    \"method\": \"GET\", \"path\": \"/pets/7\", \"query\": \"verbose=1\",
    \"headers\": {\"authorization\": \"Bearer x\", \"accept\": [\"a\", \"b\"]},
    \"body\": \"text, or any JSON\",
    \"resource\": \"/pets/{id}\", \"stage\": \"dev\", \"pathParameters\": {\"id\": \"7\"},
    \"stageVariables\": {}, \"sourceAddress\": \"192.0.2.1\", \"context\": {},
    \"response\": {\"status\": 200, \"headers\": {}, \"body\": \"what the backend answers\"}
  }
A list of such objects is run one after the other, on the same plugin.

Exit codes: 0 the plugin ran, whatever it decided; 1 it failed, or a file is wrong.")]
pub struct PluginTestArgs {
    /// The plugin's .wasm file
    pub plugin: PathBuf,

    /// The request, or a list of requests, as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    pub request: PathBuf,

    /// The plugin's configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// An upstream that the plugin may call by this name; give it again for more
    #[arg(long = "upstream", value_name = "NAME=HOST:PORT", value_parser = upstream)]
    pub upstreams: Vec<KeyValue>,

    /// Let a component use WASI: clocks, random numbers, and output to the log
    #[arg(long)]
    pub wasi: bool,

    /// The root context that a proxy-wasm filter runs, for files that hold several [default: the
    /// one without a name]
    #[arg(long, value_name = "ROOT_ID")]
    pub root_id: Option<String>,

    /// Give an authorizer the request's body
    #[arg(long)]
    pub body: bool,

    /// A fresh instance for each request
    #[arg(long)]
    pub per_request: bool,

    /// How to print what happened
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate plugin inspect filter.wasm

Exit codes: 0 it can be loaded here, 1 it can't: standard error says why.")]
pub struct PluginInspectArgs {
    /// The plugin's .wasm file
    pub plugin: PathBuf,

    /// How to print what was found
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}
