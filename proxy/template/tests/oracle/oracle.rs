//! Apache Velocity 1.7 in a Java process: compiled when the test starts, asked by lines.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::values::Values;

const MISSING: &str = "\nThe template tests compare with Apache Velocity and need the Debian packages \
    default-jdk-headless, velocity and libjsonpath-java. tests/install-tools installs them.\n";

const JARS: [&str; 9] = [
    "velocity",
    "commons-collections3",
    "commons-lang",
    "json-path",
    "json-smart",
    "accessors-smart",
    "asm",
    "slf4j-api",
    "slf4j-nop",
];

pub struct Oracle {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    /// The text, or why rendering failed.
    pub rendered: Result<String, String>,
    /// Names of the departures from stock Velocity that made a difference.
    pub departures: Vec<String>,
}

impl Oracle {
    /// Compiles and starts the Java side.
    ///
    /// # Panics
    ///
    /// When Java or a library is missing, with the names of the packages that hold them.
    pub fn start() -> Self {
        let jars = JARS.map(|name| PathBuf::from(format!("/usr/share/java/{name}.jar")));
        for jar in &jars {
            assert!(jar.exists(), "{} is missing.{MISSING}", jar.display());
        }
        let classes = compile(&jars);
        let mut process = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-Xss4m", "-cp"])
            .arg(class_path(&jars, &classes))
            .arg("Oracle")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("java can't be started: {error}.{MISSING}"));
        let questions = process.stdin.take().expect("standard input is piped");
        let answers = BufReader::new(process.stdout.take().expect("standard output is piped"));
        Self { process, questions, answers }
    }

    pub fn render(&mut self, template: &str, values: &Values) -> Answer {
        let question =
            format!("{} {}\n", BASE64.encode(template), BASE64.encode(values.0.to_string()));
        self.questions.write_all(question.as_bytes()).expect("Java reads questions");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("Java answers");
        let words: Vec<_> = line.trim_end().split(' ').collect();
        let [kind, text, departures] = words[..] else {
            panic!("Java ended at the template {template:?}: {line:?}");
        };
        let text = BASE64.decode(text).expect("the answer is in base64");
        let text = String::from_utf8(text).expect("the answer is UTF-8");
        Answer {
            rendered: if kind == "rendered" { Ok(text) } else { Err(text) },
            departures: departures
                .split(',')
                .filter(|&name| name != "-")
                .map(String::from)
                .collect(),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of the compiled classes.
fn compile(jars: &[PathBuf]) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/java");
    // Each test function has its own: they run at the same time.
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
    let classes = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{thread}"));
    let compiled = Command::new("javac")
        .arg("-cp")
        .arg(class_path(jars, &classes))
        .arg("-d")
        .arg(&classes)
        .args(
            ["Oracle.java", "Departures.java", "Variables.java", "Json.java"]
                .map(|name| sources.join(name)),
        )
        .output()
        .unwrap_or_else(|error| panic!("javac can't be started: {error}.{MISSING}"));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    classes
}

fn class_path(jars: &[PathBuf], classes: &Path) -> std::ffi::OsString {
    let all = jars.iter().map(PathBuf::as_path).chain([classes]);
    std::env::join_paths(all).expect("no path holds a colon")
}
