//! Calls back when one of a set of files has changed.
//!
//! The folders are watched, not the files: editors and certificate tools put a new file in the
//! place of the old one, and a watch on the old one would stay with what nobody reads any
//! more. An event in a folder only says that it is time to look; whether a file changed is
//! decided by its identity, size and times, followed through symbolic links (certbot and
//! Kubernetes swap links). A slow look now and then covers file systems without events.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Events that follow each other this closely are one change.
const QUIET: Duration = Duration::from_millis(100);
/// Longest wait for [`QUIET`], so that a busy folder cannot put a reload off for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often files are looked at when no event came.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

/// Watches until it is dropped.
pub struct Watch {
    sender: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    SomethingHappened,
    Files(Vec<PathBuf>),
    Stop,
}

impl Watch {
    /// Starts a thread that calls `changed` after one or more of the files changed. `changed`
    /// is never called twice at a time; a change during a call leads to another call. It gives
    /// the files to watch from then on.
    pub fn start(
        files: Vec<PathBuf>,
        mut changed: impl FnMut() -> Vec<PathBuf> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let events = sender.clone();
        // What files look like now counts, not what they look like when the thread gets to run.
        let mut watched = Watched::new(files, events);
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            while wait(&receiver, &mut watched) {
                if watched.look() {
                    watched.replace(changed());
                }
            }
        })?;
        Ok(Self { sender, thread: Some(thread) })
    }

    /// Watches other files from now on.
    pub fn files(&self, files: Vec<PathBuf>) {
        // The thread only ends with `self`.
        let _ = self.sender.send(Message::Files(files));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Stop);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Waits until it is time to look; `false` when it is time to stop.
fn wait(receiver: &Receiver<Message>, watched: &mut Watched) -> bool {
    let mut started: Option<Instant> = None;
    loop {
        let timeout = match started {
            None => LOOK_ANYWAY,
            Some(started) if started.elapsed() >= LONGEST_WAIT => return true,
            Some(_) => QUIET,
        };
        match receiver.recv_timeout(timeout) {
            Ok(Message::SomethingHappened) => started = started.or_else(|| Some(Instant::now())),
            Ok(Message::Files(files)) => watched.replace(files),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return true,
        }
    }
}

struct Watched {
    files: Vec<(PathBuf, Option<Fingerprint>)>,
    /// Kept for its events only; `None` where the system gives none.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    events: Sender<Message>,
}

impl Watched {
    fn new(files: Vec<PathBuf>, events: Sender<Message>) -> Self {
        let mut watched =
            Self { files: Vec::new(), watcher: None, folders: BTreeSet::new(), events };
        watched.replace(files);
        watched
    }

    fn replace(&mut self, files: Vec<PathBuf>) {
        self.files = files
            .into_iter()
            .map(|file| {
                let known = self
                    .files
                    .iter()
                    .find(|(known, _)| *known == file)
                    .map(|(_, fingerprint)| *fingerprint);
                let fingerprint = known.unwrap_or_else(|| Fingerprint::of(&file));
                (file, fingerprint)
            })
            .collect();
        self.watch_folders();
    }

    /// Whether a file changed since the last look.
    fn look(&mut self) -> bool {
        let mut changed = false;
        for (file, fingerprint) in &mut self.files {
            let now = Fingerprint::of(file);
            changed |= now != *fingerprint;
            *fingerprint = now;
        }
        if changed {
            // A link may lead to another folder now.
            self.watch_folders();
        }
        changed
    }

    fn watch_folders(&mut self) {
        let folders: BTreeSet<PathBuf> =
            self.files.iter().flat_map(|(file, _)| folders_of(file)).collect();
        if folders == self.folders && self.watcher.is_some() {
            return;
        }
        let events = self.events.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // A receiver that is gone has stopped watching.
                let _ = events.send(Message::SomethingHappened);
            }
        });
        match watcher {
            Ok(mut watcher) => {
                for folder in &folders {
                    if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                        tracing::debug!(%error, folder = %folder.display(), "folder cannot be watched; looking every 10 s");
                    }
                }
                self.watcher = Some(watcher);
            }
            Err(error) => tracing::debug!(%error, "no file events; looking every 10 s"),
        }
        self.folders = folders;
    }
}

/// The folder of the file, and that of what a link leads to; a folder is its own.
fn folders_of(file: &Path) -> BTreeSet<PathBuf> {
    if file.is_dir() {
        return BTreeSet::from([file.to_owned()]);
    }
    let target = file.canonicalize().ok();
    [Some(file), target.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(Path::parent)
        .map(
            |folder| {
                if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
            },
        )
        .collect()
}

/// What a file is, as far as its metadata tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// `None` for a file that is not there.
    fn of(file: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_written_in_place_is_a_change() {
        let Scene { folder, file, changes, watch: _watch } = scene();
        fs::write(&file, "two").unwrap();
        expect_change(&changes);
        fs::write(folder.path().join("other"), "x").unwrap();
        assert!(
            changes.recv_timeout(QUIET * 4).is_err(),
            "another file of the folder is no change"
        );
    }

    #[test]
    fn a_file_renamed_over_it_is_a_change_each_time() {
        let Scene { folder, file, changes, watch: _watch } = scene();
        for text in ["two", "three"] {
            let new = folder.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &file).unwrap();
            expect_change(&changes);
        }
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        for name in ["a", "b"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), name).unwrap();
        }
        std::os::unix::fs::symlink("a", &link).unwrap();
        let (watch, changes) = watched(link.join("file"));
        let new = folder.path().join("new-link");
        std::os::unix::fs::symlink("b", &new).unwrap();
        fs::rename(&new, &link).unwrap();
        // The folder that holds the link is not watched: what counts is that the next look sees
        // it, which an event in the file's folder brings about here.
        fs::write(folder.path().join("a").join("nudge"), "").unwrap();
        expect_change(&changes);
        drop(watch);
    }

    #[test]
    fn files_can_be_replaced_by_others() {
        let Scene { folder, file, changes, watch } = scene();
        let other = folder.path().join("other");
        fs::write(&other, "one").unwrap();
        watch.files(vec![other.clone()]);
        // The message is taken before events that come after it.
        std::thread::sleep(QUIET);
        fs::write(&file, "two").unwrap();
        assert!(changes.recv_timeout(QUIET * 4).is_err());
        fs::write(&other, "two").unwrap();
        expect_change(&changes);
    }

    struct Scene {
        folder: tempfile::TempDir,
        file: PathBuf,
        changes: Receiver<()>,
        watch: Watch,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "one").unwrap();
        let (watch, changes) = watched(file.clone());
        Scene { folder, file, changes, watch }
    }

    fn watched(file: PathBuf) -> (Watch, Receiver<()>) {
        let (sender, changes) = channel();
        let watch = Watch::start(vec![file.clone()], move || {
            sender.send(()).unwrap();
            vec![file.clone()]
        })
        .unwrap();
        (watch, changes)
    }

    fn expect_change(changes: &Receiver<()>) {
        changes.recv_timeout(Duration::from_secs(5)).expect("a change is seen within seconds");
    }
}
