//! Programs: the built binary, and curl.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use crate::eventually;

/// The binary under test: `TOLLGATE_BIN`, or the one of this profile beside the tests' own,
/// built if it isn't there.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("TOLLGATE_BIN") {
            return path.into();
        }
        // target/PROFILE/deps/e2e-HASH
        let own = std::env::current_exe().expect("a test knows its own path");
        let profile =
            own.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
        let path = profile.join("tollgate");
        if !path.exists() {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.args(["build", "--package", "tollgate"]).current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            let status = cargo.status().expect("cargo runs");
            assert!(status.success(), "cargo build --package tollgate: {status}");
        }
        path
    })
}

/// What a program that ran to its end has left.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `tollgate ARGUMENTS` to its end in a folder.
pub fn tollgate(folder: &Path, arguments: &[&str]) -> Finished {
    finish(Command::new(binary()).args(arguments).current_dir(folder))
}

/// Runs curl; `-sS` is given.
pub fn curl(arguments: &[&str]) -> Finished {
    finish(Command::new("curl").args(["-sS", "--max-time", "30"]).args(arguments))
}

fn finish(command: &mut Command) -> Finished {
    let output = clean(command).stdin(Stdio::null()).output().expect("the program runs");
    Finished {
        code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Takes what the developer's shell may have set for Tollgate or curl out of the environment.
fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("TOLLGATE_") || name_text.to_ascii_lowercase().ends_with("_proxy")
        {
            command.env_remove(&name);
        }
    }
    command
}

/// A running program, with all the processes it started; killed when dropped.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, &[])
    }

    /// Starts it with variables in its environment.
    pub fn start_with(command: &mut Command, variables: &[(&str, &str)]) -> Self {
        clean(command)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // An upgraded binary is no child of ours, but of our group.
        command.process_group(0);
        // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                // A test run that is interrupted leaves nothing behind.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().expect("the program starts");
        let stdout = Lines::read(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::read(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout, stderr }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line of standard output that `wanted` makes something of.
    pub fn stdout_line<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.line(what, |process| &process.stdout, wanted)
    }

    /// The same for standard error.
    pub fn stderr_line<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.line(what, |process| &process.stderr, wanted)
    }

    fn line<T>(
        &self,
        what: &str,
        stream: fn(&Self) -> &Lines,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> T {
        eventually(&format!("the program says {what}"), || {
            // Looked at first: what comes after the end of a stream can't be missed.
            let ended = stream(self).ended();
            let found = stream(self).with(|lines| lines.iter().find_map(|line| wanted(line)));
            assert!(
                found.is_some() || !ended,
                "the program ended and did not say {what}:\n{}",
                self.output()
            );
            found
        })
    }

    pub fn stdout(&self) -> String {
        self.stdout.with(|lines| lines.join("\n"))
    }

    pub fn stderr(&self) -> String {
        self.stderr.with(|lines| lines.join("\n"))
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child has not been waited for, so its id is still its own.
        let result = unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        assert_eq!(result, 0, "the program runs");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_none()
    }

    /// Waits for the end of the process that was started (not of one it started).
    pub fn exit(&mut self) -> ExitStatus {
        eventually("the program ends", || {
            self.child.try_wait().expect("the child can be waited for")
        })
    }

    fn output(&self) -> String {
        format!("{}\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the group is the child's, made at its start; while any member lives or the
        // child is not waited for, the number belongs to it.
        unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of the gateway:\n{}", self.output());
        }
    }
}

/// Lines of a stream, collected by a thread.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Lines {
    fn read(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                into.lock().expect("no reader panics").push(line);
            }
        });
        Self { lines, reader }
    }

    fn with<T>(&self, f: impl FnOnce(&[String]) -> T) -> T {
        f(&self.lines.lock().expect("no reader panics"))
    }

    /// Whether all that had the stream open have ended (an upgraded process has it from the one
    /// before), and everything has been read.
    fn ended(&self) -> bool {
        self.reader.is_finished()
    }
}
