//! What the kernel throttle needs of the machine, told apart before anything is tried: the
//! kernel's own errors don't say what is missing.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::StartError;

/// Compare-and-swap in BPF programs came with 5.12; links that survive a process, with 5.9.
const OLDEST_KERNEL: (u32, u32) = (5, 12);

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Of a BPF file system, `man 2 statfs`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
const BPF_FS: &str = "/sys/fs/bpf";

pub(crate) fn check_kernel() -> Result<(), StartError> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    match version(release) {
        Some(found) if found < OLDEST_KERNEL => {
            Err(StartError::OldKernel { found: release.to_owned() })
        }
        // One that doesn't say what it is gets its chance.
        _ => Ok(()),
    }
}

pub(crate) fn check_capabilities() -> Result<(), StartError> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    let missing = missing_capabilities(effective);
    if missing.is_empty() { Ok(()) } else { Err(StartError::Capabilities { missing }) }
}

fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |capability: u32| effective >> capability & 1 == 1;
    let mut missing = Vec::new();
    if !has(CAP_BPF) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_BPF");
    }
    if !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    // Without it the verifier takes the program for one of a user who may not see addresses.
    if !has(CAP_PERFMON) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_PERFMON");
    }
    missing
}

/// The interface's number, in the network namespace of this thread.
pub(crate) fn interface_index(interface: &str) -> Result<u32, StartError> {
    let missing = || StartError::Interface { interface: interface.to_owned() };
    let name = CString::new(interface).map_err(|_| missing())?;
    // SAFETY: the argument is a string with its zero.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(missing()),
        index => Ok(index),
    }
}

/// Makes the directory for pins, and mounts the BPF file system at its usual place if there is
/// none.
pub(crate) fn make_pin_directory(directory: &Path) -> Result<(), StartError> {
    let failed = |path: &Path, error| StartError::PinDirectory { path: path.to_owned(), error };
    if directory.starts_with(BPF_FS) && !is_bpf_fs(Path::new(BPF_FS)) {
        mount_bpf_fs().map_err(|error| StartError::NoBpfFs { path: BPF_FS.into(), error })?;
    }
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    if !is_bpf_fs(directory) {
        return Err(StartError::NotBpfFs { path: PathBuf::from(directory) });
    }
    Ok(())
}

fn is_bpf_fs(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the arguments are a string with its zero and a buffer of the type that is filled;
    // zeroed, it is valid even if nothing is.
    let found = unsafe {
        libc::statfs(path.as_ptr(), found.as_mut_ptr());
        found.assume_init()
    };
    found.f_type as u64 == BPF_FS_MAGIC
}

fn mount_bpf_fs() -> std::io::Result<()> {
    // SAFETY: strings with their zeroes; this file system takes no data.
    let result = unsafe {
        libc::mount(c"bpf".as_ptr(), c"/sys/fs/bpf".as_ptr(), c"bpf".as_ptr(), 0, std::ptr::null())
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|it: char| !it.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{
        CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN, missing_capabilities, version,
    };

    #[test]
    fn a_release_begins_with_two_numbers() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.10.0-28-amd64"), Some((5, 10)));
        assert_eq!(version("5.15"), Some((5, 15)));
        assert_eq!(version("custom"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |capabilities: &[u32]| {
            missing_capabilities(capabilities.iter().fold(0, |all, one| all | 1 << one))
        };
        assert_eq!(missing(&[]), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(missing(&[CAP_NET_ADMIN]), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(&[CAP_BPF, CAP_PERFMON]), ["CAP_NET_ADMIN"]);
        assert_eq!(missing(&[CAP_BPF, CAP_NET_ADMIN]), ["CAP_PERFMON"]);
        assert_eq!(missing(&[CAP_SYS_ADMIN]), ["CAP_NET_ADMIN"]);
        assert!(missing(&[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]).is_empty());
    }
}
