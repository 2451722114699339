use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Instant;

use super::*;

struct Request<'a>(&'a str);

impl LogValues for Request<'_> {
    fn write(&self, variable: &ContextVariable, out: &mut Vec<u8>) -> bool {
        if *variable == ContextVariable::RequestId {
            out.extend_from_slice(self.0.as_bytes());
        }
        *variable == ContextVariable::RequestId
    }
}

struct Logged {
    log: AccessLog,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Logged {
    fn to_a_file() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("access.log");
        Self { log: open(&path), path, _directory: directory }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("the log")
    }

    /// Waits for what the writer does by itself.
    fn text_soon(&self) -> String {
        wait_for(|| Some(self.text()).filter(|text| !text.is_empty()))
    }
}

fn open(path: &std::path::Path) -> AccessLog {
    let format = AccessLogFormat::parse("$context.requestId").expect("a format");
    AccessLog::open(&AccessLogDestination::File(path.to_owned()), format).expect("a file")
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "not in ten seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn lines_of_all_threads_are_whole_and_there_after_close() {
    let logged = Logged::to_a_file();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &logged.log;
            scope.spawn(move || {
                (0..5_000).for_each(|n| log.line(&Request(&format!("{thread}-{n}"))))
            });
        }
    });
    logged.log.close();
    let text = logged.text();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> =
        (0..8).flat_map(|thread| (0..5_000).map(move |n| format!("{thread}-{n}"))).collect();
    expected.sort_unstable();
    assert_eq!(lines.len() as u64 + logged.log.dropped(), 40_000);
    assert_eq!(logged.log.dropped(), 0);
    assert_eq!(lines, expected);
}

#[test]
fn a_line_appears_without_anybody_flushing() {
    let logged = Logged::to_a_file();
    logged.log.line(&Request("one"));
    assert_eq!(logged.text_soon(), "one\n");
}

#[test]
fn a_worker_can_flush_at_once() {
    let logged = Logged::to_a_file();
    logged.log.line(&Request("one"));
    logged.log.flush_worker();
    assert_eq!(logged.text_soon(), "one\n");
    logged.log.flush_worker();
}

#[test]
fn dropping_closes() {
    let Logged { log, path, _directory } = Logged::to_a_file();
    log.line(&Request("one"));
    drop(log);
    assert_eq!(fs::read_to_string(path).expect("the log"), "one\n");
}

#[test]
fn a_file_is_appended_to_and_not_for_everybody_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let logged = Logged::to_a_file();
    logged.log.line(&Request("one"));
    logged.log.close();
    let again = open(&logged.path);
    again.line(&Request("two"));
    again.close();
    assert_eq!(logged.text(), "one\ntwo\n");
    assert_eq!(fs::metadata(&logged.path).expect("the log").permissions().mode() & 0o007, 0);
}

#[test]
fn a_rotated_file_is_followed_after_reopen() {
    let logged = Logged::to_a_file();
    logged.log.line(&Request("old"));
    logged.log.flush_worker();
    assert_eq!(logged.text_soon(), "old\n");
    let rotated = logged.path.with_extension("1");
    fs::rename(&logged.path, &rotated).expect("renamed");
    logged.log.reopen();
    wait_for(|| logged.path.exists().then_some(()));
    logged.log.line(&Request("new"));
    logged.log.close();
    assert_eq!(fs::read_to_string(rotated).expect("the old log"), "old\n");
    assert_eq!(logged.text(), "new\n");
}

#[test]
fn a_reopen_that_fails_keeps_the_old_file() {
    let logged = Logged::to_a_file();
    let rotated = logged.path.with_extension("1");
    fs::rename(&logged.path, &rotated).expect("renamed");
    fs::create_dir(&logged.path).expect("a directory in its place");
    logged.log.reopen();
    logged.log.line(&Request("one"));
    logged.log.close();
    assert_eq!(fs::read_to_string(rotated).expect("the old log"), "one\n");
}

#[test]
fn a_destination_that_cannot_be_opened_is_an_error() {
    let format = AccessLogFormat::default();
    let destination = AccessLogDestination::File("/nonexistent/access.log".into());
    assert_eq!(
        AccessLog::open(&destination, format).err().map(|error| error.kind()),
        Some(io::ErrorKind::NotFound)
    );
}

#[test]
fn a_full_disk_loses_lines_and_counts_them() {
    let log = open(std::path::Path::new("/dev/full"));
    for _ in 0..5_000 {
        log.line(&Request("0123456789"));
    }
    log.close();
    assert_eq!(log.dropped(), 5_000);
}

#[test]
fn a_reader_that_stops_holds_nobody_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    let status = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(status.success());
    // Read and write at once, so that opening a pipe doesn't wait for its other end.
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&path).expect("a pipe");
    let log = open(&path);
    let line = "x".repeat(1000);
    let count = 10_000; // ten megabytes, twice what pipe, queue and buffers hold
    let start = Instant::now();
    for _ in 0..count {
        log.line(&Request(&line));
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let dropped = log.dropped();
    assert!(dropped > 0 && dropped < count, "{dropped} dropped");

    // The lines that were kept come whole once somebody reads again.
    let kept = std::thread::spawn(move || {
        let mut kept = 0;
        let mut text = vec![0; ((count - dropped) * 1001) as usize];
        reader.read_exact(&mut text).expect("lines");
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            assert_eq!(line.len(), 1000);
            kept += 1;
        }
        kept
    });
    log.close();
    assert_eq!(kept.join().expect("no panic"), count - dropped);
    assert_eq!(log.dropped(), dropped);
}

#[test]
fn an_overlong_line_is_dropped_and_counted() {
    let logged = Logged::to_a_file();
    logged.log.line(&Request(&"x".repeat(MAXIMUM_LINE)));
    logged.log.line(&Request("short"));
    logged.log.close();
    assert_eq!((logged.text().as_str(), logged.log.dropped()), ("short\n", 1));
}

#[test]
fn a_log_that_is_off_takes_everything() {
    let log = AccessLog::open(&AccessLogDestination::Off, AccessLogFormat::default())
        .expect("nothing to open");
    assert!(log.is_off());
    log.line(&Request("one"));
    log.flush_worker();
    log.reopen();
    log.close();
    assert_eq!(log.dropped(), 0);
}
