//! A gateway with a management API, and the Python clients of `tests/clients`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;
use tollgate_tests::{Process, binary};

/// Runs a scenario against a gateway of its own.
#[track_caller]
pub fn run(scenario: &str) {
    Clients::start().run(scenario);
}

/// Runs a script of `tests/clients` that needs no gateway.
#[track_caller]
pub fn script(name: &str) {
    check(name, &python(name).output().expect("python runs"));
}

/// `tollgate dev` without a definition: everything comes through its management API.
pub struct Clients {
    pub process: Process,
    pub endpoint: String,
    pub gateway: String,
    _folder: TempDir,
}

impl Clients {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(binary());
        command.arg("dev").current_dir(folder.path());
        for option in ["--http", "--https", "--management", "--management-api"] {
            command.args([option, "127.0.0.1:0"]);
        }
        command.args(["--output", "json", "--workers", "2", "--access-log", "off"]);
        command.args(["--account-throttle", "10000000:10000000"]);
        let process = Process::start(&mut command);
        let url = |what: &str| {
            process.stderr_line(what, |line| {
                Some(line.strip_prefix(what)?.strip_prefix(": ")?.to_owned())
            })
        };
        let (endpoint, gateway) = (url("management API"), url("gateway"));
        Self { process, endpoint, gateway, _folder: folder }
    }

    #[track_caller]
    pub fn run(&self, scenario: &str) {
        let mut command = python("run.py");
        command.args(["--endpoint", &self.endpoint, "--gateway", &self.gateway, scenario]);
        check(scenario, &command.output().expect("python runs"));
    }
}

#[track_caller]
fn check(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// A script of `tests/clients`, run with nothing of the developer's AWS settings.
fn python(script: &str) -> Command {
    let mut command = Command::new(interpreter());
    command.arg(clients().join(script));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("AWS_")
            || text.starts_with("PYTHON")
            || text.to_ascii_lowercase().ends_with("_proxy")
        {
            command.env_remove(&name);
        }
    }
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The interpreter of the pinned clients, installed where they are missing.
fn interpreter() -> &'static Path {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        // target/PROFILE/deps/e2e-HASH
        let own = std::env::current_exe().expect("a test knows its own path");
        let target = own.ancestors().nth(3).expect("tests lie in target/PROFILE/deps");
        let output = Command::new(clients().join("install"))
            .arg(target)
            .output()
            .expect("tests/clients/install runs");
        assert!(
            output.status.success(),
            "tests/clients/install: {}; tests/install-tools installs what it needs",
            String::from_utf8_lossy(&output.stderr),
        );
        String::from_utf8(output.stdout).expect("a path").trim().into()
    })
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}
