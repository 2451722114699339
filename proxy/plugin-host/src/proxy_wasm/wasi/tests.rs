//! Each call from a real module, whose functions take raw arguments.

use wasmtime::{Engine, Instance, Linker, Module, Store};

use super::{Exit, Output, WasiHost, define, flush};
use crate::limits;

#[derive(Default)]
struct Host {
    lines: Vec<(bool, String)>,
    variables: Vec<(String, String)>,
    output: Output,
}

impl WasiHost for Host {
    fn log(&mut self, error: bool, line: &[u8]) {
        self.lines.push((error, String::from_utf8_lossy(line).into_owned()));
    }

    fn environment(&self) -> &[(String, String)] {
        &self.variables
    }

    fn output(&mut self) -> &mut Output {
        &mut self.output
    }
}

/// Every function with its parameters, `I` for an i64.
const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
    ("sock_accept", "iii"),
];

/// A module that imports every function of `wasi` and calls each from an export of its name.
struct Guest {
    store: Store<Host>,
    instance: Instance,
}

impl Guest {
    fn new(wasi: &str) -> Self {
        let (mut imports, mut exports) = (String::new(), String::new());
        let functions = FUNCTIONS.iter().map(|(name, kinds)| (*name, *kinds, "(result i32)"));
        for (name, kinds, result) in functions.chain([("proc_exit", "i", "")]) {
            let (mut parameters, mut arguments) = (String::new(), String::new());
            for (index, kind) in kinds.chars().enumerate() {
                parameters += if kind == 'I' { "(param i64)" } else { "(param i32)" };
                arguments += &format!("(local.get {index})");
            }
            imports +=
                &format!("(import \"{wasi}\" \"{name}\" (func ${name} {parameters} {result}))");
            exports += &format!(
                "(func (export \"{name}\") {parameters} {result} (call ${name} {arguments}))"
            );
        }
        let text = format!("(module {imports} (memory (export \"memory\") 3) {exports})");
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut linker = Linker::new(&engine);
        define(&mut linker).unwrap();
        let mut store = Store::new(&engine, Host::default());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Self { store, instance }
    }

    /// Calls through the module: its own memory is what pointers point into.
    fn call(&mut self, name: &str, arguments: &[i64]) -> wasmtime::Result<i32> {
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let kinds: Vec<_> = function.ty(&self.store).params().collect();
        let arguments: Vec<_> = kinds
            .iter()
            .zip(arguments)
            .map(|(kind, value)| match kind {
                wasmtime::ValType::I64 => wasmtime::Val::I64(*value),
                _ => wasmtime::Val::I32(*value as i32),
            })
            .collect();
        let mut results = vec![wasmtime::Val::I32(0); function.ty(&self.store).results().len()];
        function.call(&mut self.store, &arguments, &mut results)?;
        Ok(results.first().map_or(0, wasmtime::Val::unwrap_i32))
    }

    fn memory(&mut self) -> &mut [u8] {
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        memory.data_mut(&mut self.store)
    }

    fn word(&mut self, at: usize) -> u32 {
        u32::from_le_bytes(self.memory()[at..at + 4].try_into().unwrap())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.memory()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn print(&mut self, fd: i64, text: &[u8]) -> i32 {
        self.put(0x1000, text);
        self.put(0x100, &0x1000_u32.to_le_bytes());
        self.put(0x104, &(text.len() as u32).to_le_bytes());
        self.call("fd_write", &[fd, 0x100, 1, 0x200]).unwrap()
    }
}

const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const NOTSUP: i32 = 58;

#[test]
fn every_function_links_under_both_names_and_answers_wild_arguments() {
    assert_eq!(FUNCTIONS.iter().filter(|(name, _)| *name != "sock_accept").count() + 1, 45);
    for wasi in ["wasi_snapshot_preview1", "wasi_unstable"] {
        let mut guest = Guest::new(wasi);
        for wild in [0, 1, 2, 3, 0xfffc, 0x2_ffff, 0x7fff_ffff, -1, -4, i64::MIN] {
            for (name, kinds) in FUNCTIONS {
                for fd in [0, 1, 2, wild] {
                    let mut arguments = vec![wild; kinds.len()];
                    if let Some(first) = arguments.first_mut() {
                        *first = fd;
                    }
                    let answer = guest.call(name, &arguments).unwrap();
                    assert!(
                        [0, BADF, FAULT, INVAL, 52, NOTSUP, 70].contains(&answer),
                        "{name}: {answer}"
                    );
                }
            }
        }
    }
}

#[test]
fn writes_become_log_lines_at_their_ends() {
    let mut guest = Guest::new("wasi_snapshot_preview1");
    assert_eq!(guest.print(1, b"one\ntw"), 0);
    assert_eq!(guest.word(0x200), 6);
    guest.print(2, b"bad\r\n\n");
    guest.print(1, b"o\nthree");
    let line = |error: bool, text: &str| (error, text.to_owned());
    let ended = [line(false, "one"), line(true, "bad"), line(false, "two")];
    assert_eq!(guest.store.data().lines, ended);
    flush(guest.store.data_mut());
    flush(guest.store.data_mut());
    assert_eq!(guest.store.data().lines[3..], [line(false, "three")]);
    assert_eq!(guest.print(0, b"x"), BADF);
    assert_eq!(guest.print(3, b"x"), BADF);
}

#[test]
fn a_line_without_end_is_cut_and_a_long_write_is_short() {
    let mut guest = Guest::new("wasi_unstable");
    for _ in 0..3 {
        guest.print(1, &[b'x'; limits::LOG_LINE / 2]);
    }
    guest.print(1, b"\nnext\n");
    let lines: Vec<_> = guest.store.data().lines.iter().map(|(_, line)| line.len()).collect();
    assert_eq!(lines, [limits::LOG_LINE, 4]);
    assert_eq!(guest.print(1, &vec![b'y'; 100_000]), 0);
    assert_eq!(guest.word(0x200), 65_536);
}

#[test]
fn the_environment_is_the_modules_own() {
    let mut guest = Guest::new("wasi_snapshot_preview1");
    assert_eq!(guest.call("environ_sizes_get", &[0, 4]).unwrap(), 0);
    assert_eq!((guest.word(0), guest.word(4)), (0, 0));
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    guest.store.data_mut().variables = vec![variable("A", "1"), variable("LONG", "")];
    guest.call("environ_sizes_get", &[0, 4]).unwrap();
    assert_eq!((guest.word(0), guest.word(4)), (2, 10));
    assert_eq!(guest.call("environ_get", &[0x20, 0x40]).unwrap(), 0);
    assert_eq!((guest.word(0x20), guest.word(0x24)), (0x40, 0x44));
    assert_eq!(&guest.memory()[0x40..0x4a], b"A=1\0LONG=\0");
    assert_eq!(guest.call("environ_get", &[0x20, 0x2_fffe]).unwrap(), FAULT);
    assert_eq!(guest.call("environ_get", &[-4, 0]).unwrap(), FAULT);
    guest.put(0, &[1; 8]);
    assert_eq!(guest.call("args_sizes_get", &[0, 4]).unwrap(), 0);
    assert_eq!((guest.word(0), guest.word(4)), (0, 0));
}

#[test]
fn clocks_run_and_random_bytes_are_bounded() {
    let mut guest = Guest::new("wasi_snapshot_preview1");
    for clock in [0, 1] {
        guest.call("clock_time_get", &[clock, 0, 8]).unwrap();
        let first = u64::from_le_bytes(guest.memory()[8..16].try_into().unwrap());
        guest.call("clock_time_get", &[clock, 0, 8]).unwrap();
        let second = u64::from_le_bytes(guest.memory()[8..16].try_into().unwrap());
        assert!(first > 0 && second >= first);
        assert_eq!(guest.call("clock_res_get", &[clock, 0]).unwrap(), 0);
    }
    assert_eq!(guest.call("clock_time_get", &[2, 0, 8]).unwrap(), NOTSUP);
    guest.put(0, &[0; 64]);
    assert_eq!(guest.call("random_get", &[0, 32]).unwrap(), 0);
    assert!(guest.memory()[..32] != [0; 32] && guest.memory()[32..64] == [0; 32]);
    assert_eq!(guest.call("random_get", &[0, 65_537]).unwrap(), INVAL);
    assert_eq!(guest.call("random_get", &[-1, 16]).unwrap(), FAULT);
}

#[test]
fn a_poll_answers_at_once_in_both_layouts() {
    for (wasi, subscription) in [("wasi_snapshot_preview1", 48), ("wasi_unstable", 56)] {
        let mut guest = Guest::new(wasi);
        for (index, (tag, descriptor)) in [(0, 0), (2, 1), (1, 7)].into_iter().enumerate() {
            let at = index * subscription;
            guest.put(at, &(100 + index as u64).to_le_bytes());
            guest.put(at + 8, &[tag]);
            guest.put(at + 16, &[descriptor, 0, 0, 0]);
        }
        assert_eq!(guest.call("poll_oneoff", &[0, 0x400, 3, 0x800]).unwrap(), 0);
        assert_eq!(guest.word(0x800), 3);
        for (index, (tag, errno)) in [(0, 0), (2, 0), (1, BADF as u8)].into_iter().enumerate() {
            let event = &guest.memory()[0x400 + 32 * index..][..32];
            assert_eq!(event[..8], (100 + index as u64).to_le_bytes());
            assert_eq!((event[8], event[9], event[10]), (errno, 0, tag));
        }
        assert_eq!(guest.call("poll_oneoff", &[0, 0x400, 0, 0x800]).unwrap(), INVAL);
        guest.put(8, &[9]);
        assert_eq!(guest.call("poll_oneoff", &[0, 0x400, 1, 0x800]).unwrap(), INVAL);
    }
}

#[test]
fn descriptors_are_a_terminal_without_files() {
    let mut guest = Guest::new("wasi_snapshot_preview1");
    assert_eq!(guest.call("fd_fdstat_get", &[1, 0]).unwrap(), 0);
    assert_eq!((guest.memory()[0], guest.memory()[8]), (2, 64));
    assert_eq!(guest.call("fd_fdstat_get", &[3, 0]).unwrap(), BADF);
    assert_eq!(guest.call("fd_prestat_get", &[3, 0]).unwrap(), BADF);
    assert_eq!(guest.call("fd_close", &[1]).unwrap(), 0);
    guest.put(0x10, &[9; 4]);
    assert_eq!(guest.call("fd_read", &[0, 0, 0, 0x10]).unwrap(), 0);
    assert_eq!(guest.word(0x10), 0);
    assert_eq!(guest.call("path_open", &[3, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap(), BADF);
}

#[test]
fn an_exit_is_an_error_with_its_status() {
    let mut guest = Guest::new("wasi_unstable");
    let error = guest.call("proc_exit", &[7]).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Exit(7)));
}
