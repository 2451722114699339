//! `tollgate serve` with a configuration file.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Gateway, Issued, Process, Signature, binary};

/// A configuration in the making. It starts with a public HTTP listener, `api_id: petstore01`,
/// stage `prod`, JSON logs and an access log in `access.log`; what is added is YAML.
pub struct Serve {
    folder: TempDir,
    listeners: Vec<String>,
    apis: Vec<String>,
    certificates: Vec<String>,
    rest: String,
    access_log: String,
}

impl Serve {
    /// Serves a definition as API `petstore01`, stage `prod`.
    pub fn new(definition: impl Into<String>) -> Self {
        let serve = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            listeners: vec!["address: '127.0.0.1:0'".into()],
            apis: Vec::new(),
            certificates: Vec::new(),
            rest: String::new(),
            access_log: "destination: access.log".into(),
        };
        serve.api("petstore01", "prod", definition)
    }

    /// One more stage of an API.
    pub fn api(self, api_id: &str, stage: &str, definition: impl Into<String>) -> Self {
        let file = format!("{api_id}-{stage}.yaml");
        let mut serve = self.file(&file, definition.into());
        serve.apis.push(format!("definition: {file}, api_id: {api_id}, stage: {stage}"));
        serve
    }

    /// More of the API that was added last: the inside of a YAML flow mapping.
    pub fn attach(mut self, yaml: &str) -> Self {
        let api = self.apis.last_mut().expect("there is an API from the beginning");
        api.push_str(", ");
        api.push_str(yaml);
        self
    }

    /// One more listener: the inside of a YAML flow mapping.
    pub fn listener(mut self, listener: &str) -> Self {
        self.listeners.push(listener.to_owned());
        self
    }

    /// A TLS listener with a certificate of this name.
    pub fn tls(self, issued: &Issued) -> Self {
        self.listener("address: '127.0.0.1:0', tls: true").certificate("tls", issued)
    }

    /// One more certificate, in NAME.pem and NAME.key.
    pub fn certificate(self, name: &str, issued: &Issued) -> Self {
        let mut serve = self
            .file(&format!("{name}.pem"), &issued.certificate)
            .file(&format!("{name}.key"), &issued.key);
        serve.certificates.push(format!("certificate: {name}.pem, key: {name}.key"));
        serve
    }

    /// Short limits, in place of waiting for long ones: the inside of a YAML flow mapping.
    pub fn limits(self, limits: &str) -> Self {
        self.with(&format!("limits: {{{limits}}}"))
    }

    /// The inside of `access_log` as a YAML flow mapping.
    pub fn access_log(mut self, access_log: &str) -> Self {
        self.access_log = access_log.to_owned();
        self
    }

    /// Anything else, at the top level.
    pub fn with(mut self, yaml: &str) -> Self {
        self.rest.push_str(yaml);
        self.rest.push('\n');
        self
    }

    /// A store in `data`, and a management API for [`Signature::default`].
    pub fn managed(self) -> Self {
        let Signature { access_key_id, secret, .. } = Signature::default();
        self.file("deployment.secret", secret).with(&format!(
            "data_directory: data\nmanagement_api: {{address: '127.0.0.1:0', access_keys: [{{id: {access_key_id}, secret_file: deployment.secret}}]}}"
        ))
    }

    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), text).expect("the folder is writable");
        self
    }

    fn text(&self) -> String {
        let list = |key: &str, items: &[String]| {
            let items: Vec<String> = items.iter().map(|item| format!("- {{{item}}}\n")).collect();
            if items.is_empty() { String::new() } else { format!("{key}:\n{}", items.concat()) }
        };
        // As for `Dev`: the account's throttle is for the tests that name it.
        let account = if self.rest.contains("account:") {
            ""
        } else {
            "account: {throttle: {rate: 10000000, burst: 10000000}}\n"
        };
        format!(
            "{}management: 127.0.0.1:0\nworkers: 2\nlog: {{format: json}}\naccess_log: {{{}}}\n{}{}{}{account}",
            list("listeners", &self.listeners),
            self.access_log,
            list("certificates", &self.certificates),
            list("apis", &self.apis),
            self.rest
        )
    }

    /// Starts it. `http` is the first listener, `https` the second one (or the first again).
    pub fn start(self) -> Gateway {
        let program = binary().to_owned();
        self.start_program(Command::new(program))
    }

    /// Starts it through the link `tollgate` in its folder, so that a test can install another
    /// version there.
    pub fn start_installed(self) -> Gateway {
        let installed = self.folder.path().join("tollgate");
        std::os::unix::fs::symlink(binary(), &installed).expect("the folder is writable");
        self.start_program(Command::new(installed))
    }

    /// Writes the files and starts nothing.
    pub fn write(self) -> TempDir {
        std::fs::write(self.folder.path().join("tollgate.yaml"), self.text())
            .expect("the folder is writable");
        self.folder
    }

    /// Starts it with a program that stands for the built binary.
    fn start_program(self, command: Command) -> Gateway {
        start(command, self.write())
    }

    /// Starts what was started in this folder before.
    pub fn start_again(folder: TempDir) -> Gateway {
        start(Command::new(binary()), folder)
    }
}

fn start(mut command: Command, folder: TempDir) -> Gateway {
    command.args(["serve", "--config", "tollgate.yaml"]).current_dir(folder.path());
    let process = Process::start(&mut command);
    let management = process.stderr_line("its management address", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "management and metrics").then(|| address(&line))
    });
    let log = process.stderr();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let listening: Vec<SocketAddr> =
        lines.filter(|line| line["message"] == "listening").map(|line| address(&line)).collect();
    let gateway = Gateway {
        http: listening[0],
        https: *listening.get(1).unwrap_or(&listening[0]),
        management,
        api_id: "petstore01".into(),
        announced: Vec::new(),
        process,
        folder,
    };
    crate::eventually("it is ready", || (gateway.manage("/readyz").status == 200).then_some(()));
    gateway
}

fn address(line: &Value) -> SocketAddr {
    line["address"]
        .as_str()
        .and_then(|address| address.parse().ok())
        .expect("the log names an address")
}
