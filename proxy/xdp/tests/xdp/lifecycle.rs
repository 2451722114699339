//! Starting, taking over, and leaving nothing behind.

use std::env;
use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_xdp::{
    KernelMaps, KernelSettings, Mode, Offence, Outcome, PenaltySettings, Settings, SourceThrottle,
    Standing, StartError,
};

use crate::network::{ATTACKER, CLIENT, GATEWAY, INTERFACE, Network, PORT, Sender, ip, ipv4};
use crate::packets::{Packet, SYN};

fn start(network: &Network, settings: &Settings) -> Result<SourceThrottle, StartError> {
    network.on(GATEWAY, || SourceThrottle::start(settings))
}

#[test]
fn a_driver_with_xdp_runs_it_and_an_exit_leaves_nothing_behind() {
    let network = Network::new();
    let throttle = start(&network, &network.settings()).unwrap();
    let status = throttle.status();
    assert_eq!((status.mode, status.interface.as_deref()), (Mode::Native, Some(INTERFACE)));
    assert_eq!(status.reason, None);
    assert!(network.link(INTERFACE).contains(" xdp "), "{}", network.link(INTERFACE));
    drop(throttle);
    assert!(!network.link(INTERFACE).contains("xdp"), "{}", network.link(INTERFACE));
    assert!(!network.pin_directory.join(INTERFACE).exists());
}

#[test]
fn a_driver_without_xdp_gets_the_generic_one_and_the_status_says_so() {
    let network = Network::new();
    let mut settings = network.settings();
    settings.kernel.as_mut().unwrap().interface = "lo".to_owned();
    let throttle = start(&network, &settings).unwrap();
    let status = throttle.status();
    assert_eq!((status.mode, status.interface.as_deref()), (Mode::Generic, Some("lo")));
    let reason = status.reason.unwrap();
    assert!(reason.starts_with("the driver of lo does not run it: "), "{reason}");
    assert!(network.link("lo").contains("xdpgeneric"), "{}", network.link("lo"));
}

#[test]
fn a_missing_interface_is_named() {
    let network = Network::new();
    let mut settings = network.settings();
    settings.kernel.as_mut().unwrap().interface = "eth7".to_owned();
    let error = start(&network, &settings).err().unwrap();
    assert_eq!(error.to_string(), "there is no network interface eth7");
}

#[test]
fn what_is_not_required_falls_back_to_user_space_with_the_reason() {
    let mut kernel = KernelSettings::new("eth7");
    kernel.required = false;
    let settings = Settings { kernel: Some(kernel), ..Settings::default() };
    let status = SourceThrottle::start(&settings).unwrap().status();
    assert_eq!((status.mode, status.interface), (Mode::UserSpace, None));
    assert_eq!(status.reason.as_deref(), Some("there is no network interface eth7"));
}

#[test]
fn missing_privileges_are_named_and_three_are_enough() {
    const CAP_NET_ADMIN: u64 = 1 << 12;
    const CAP_PERFMON: u64 = 1 << 38;
    const CAP_BPF: u64 = 1 << 39;
    let network = Network::new();
    let with = |capabilities| {
        network.on(GATEWAY, || {
            keep_capabilities(capabilities);
            SourceThrottle::start(&network.settings()).map(|throttle| throttle.status().mode)
        })
    };
    let error = |capabilities| with(capabilities).unwrap_err().to_string();
    assert_eq!(error(0), "missing privileges: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
    assert_eq!(error(CAP_BPF | CAP_PERFMON), "missing privileges: CAP_NET_ADMIN");
    assert_eq!(with(CAP_BPF | CAP_NET_ADMIN | CAP_PERFMON).unwrap(), Mode::Native);
}

#[test]
fn another_xdp_program_is_left_alone() {
    let network = Network::new();
    let first = start(&network, &network.settings()).unwrap();
    let mut settings = network.settings();
    let elsewhere = network.pin_directory.with_file_name("tollgate-test-other");
    settings.kernel.as_mut().unwrap().pin_directory.clone_from(&elsewhere);
    let error = start(&network, &settings).err().unwrap();
    assert_eq!(error.to_string(), "eth0 has another XDP program already (ip link show dev eth0)");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_dir(&elsewhere).unwrap();
    drop(first);
}

#[test]
fn pins_outside_a_bpf_file_system_are_refused() {
    let network = Network::new();
    let mut settings = network.settings();
    let directory = env::temp_dir().join(format!("tollgate-pins-{}", std::process::id()));
    settings.kernel.as_mut().unwrap().pin_directory.clone_from(&directory);
    let error = start(&network, &settings).err().unwrap();
    assert!(error.to_string().contains("not in a BPF file system"), "{error}");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn an_upgrade_lets_no_packet_through_between_and_keeps_what_is_known() {
    let network = Network::new();
    let penalties = PenaltySettings {
        tolerated: tollgate_throttle::Rate::NOTHING,
        first: Duration::from_secs(3600),
        longest: Duration::from_secs(3600),
    };
    let settings = Settings { penalties: Some(penalties), ..network.settings() };
    let mut running = start(&network, &settings).unwrap();
    let maps = running.kernel_maps().unwrap();
    maps.list("10.9.0.3".parse().unwrap(), Standing::Denied).unwrap();
    running.report(ipv4(CLIENT), Offence::TooManyRequests);

    let (sent, upgraded) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            network.on(ATTACKER, || {
                let sender = Sender::new();
                let syn = Packet::between(ipv4(ATTACKER), ipv4(GATEWAY), PORT, SYN).frame();
                let end = Instant::now() + Duration::from_secs(2);
                let mut sent = 0_u64;
                while Instant::now() < end {
                    sent += u64::from(sender.send(&syn));
                }
                sent
            })
        });
        for _ in 0..10 {
            let next = start(&network, &settings).unwrap();
            assert_eq!(next.status().mode, Mode::Native);
            running = next;
        }
        (flood.join().unwrap(), running)
    });
    let maps = upgraded.kernel_maps().unwrap();
    let denied = || maps.counts().unwrap()[Outcome::Denied as usize].1;
    let patience = Instant::now() + Duration::from_secs(10);
    while denied() < sent && Instant::now() < patience {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(denied(), sent, "each packet that was sent was dropped, by one or the other");
    let sources = maps.sources().unwrap();
    let client = sources.iter().find(|source| source.address == ipv4(CLIENT)).unwrap();
    assert!(client.penalty_until.is_some());
    drop(upgraded);
    assert!(!network.link(INTERFACE).contains("xdp"));
}

#[test]
fn other_sizes_take_over_with_new_maps_and_the_old_process_removes_nothing() {
    let network = Network::new();
    let old = start(&network, &network.settings()).unwrap();
    old.kernel_maps().unwrap().list("10.9.0.3".parse().unwrap(), Standing::Denied).unwrap();
    let mut settings = network.settings();
    settings.kernel.as_mut().unwrap().sources = 2048;
    let new = start(&network, &settings).unwrap();
    drop(old);
    assert!(network.link(INTERFACE).contains(" xdp "), "{}", network.link(INTERFACE));
    let maps = KernelMaps::open(&network.pin_directory, INTERFACE).unwrap();
    assert_eq!(maps.lists().unwrap(), []);
    drop(new);
    assert!(!network.pin_directory.join(INTERFACE).exists());
}

#[test]
fn what_a_killed_process_left_is_taken_over() {
    let network = Network::new();
    leave_behind(&network, INTERFACE);
    assert!(network.link(INTERFACE).contains(" xdp "), "it outlives the process");
    let throttle = start(&network, &network.settings()).unwrap();
    assert_eq!(throttle.status().mode, Mode::Native);
    let listed = throttle.kernel_maps().unwrap().lists().unwrap();
    assert_eq!(listed, [("198.51.100.1".parse().unwrap(), Standing::Denied, false)]);
}

#[test]
fn what_a_killed_process_left_on_another_interface_is_removed() {
    let network = Network::new();
    leave_behind(&network, "lo");
    assert!(network.link("lo").contains("xdpgeneric"), "it outlives the process");
    let _throttle = start(&network, &network.settings()).unwrap();
    assert!(!network.link("lo").contains("xdp"), "{}", network.link("lo"));
    assert!(!network.pin_directory.join("lo").exists());
}

#[test]
fn an_interface_whose_name_has_a_dot_has_pins_too() {
    let network = Network::new();
    let namespace = network.host(GATEWAY);
    ip(&["-n", &namespace, "link", "add", "eth0.7", "type", "veth", "peer", "name", "other"]);
    let mut settings = network.settings();
    settings.kernel.as_mut().unwrap().interface = "eth0.7".to_owned();
    let _throttle = start(&network, &settings).unwrap();
    assert!(KernelMaps::open(&network.pin_directory, "eth0.7").is_ok());
}

#[test]
fn an_interface_that_was_made_again_is_attached_to_again() {
    let network = Network::new();
    let old = start(&network, &network.settings()).unwrap();
    let namespace = network.host(GATEWAY);
    ip(&["-n", &namespace, "link", "del", INTERFACE]);
    ip(&["-n", &namespace, "link", "add", INTERFACE, "type", "veth", "peer", "name", "other"]);
    let new = start(&network, &network.settings()).unwrap();
    drop(old);
    assert!(network.link(INTERFACE).contains(" xdp "), "{}", network.link(INTERFACE));
    drop(new);
    assert!(!network.link(INTERFACE).contains("xdp"), "{}", network.link(INTERFACE));
}

#[test]
fn lists_of_the_configuration_are_replaced_and_those_of_commands_stay() {
    let network = Network::new();
    let network_of = |text: &str| text.parse().unwrap();
    let with = |lists: &[(&str, Standing)]| Settings {
        lists: lists.iter().map(|(text, standing)| (network_of(text), *standing)).collect(),
        ..network.settings()
    };
    let first = with(&[("192.0.2.0/24", Standing::Denied), ("192.0.2.7", Standing::Trusted)]);
    let throttle = start(&network, &first).unwrap();
    let maps = throttle.kernel_maps().unwrap();
    maps.list(network_of("198.51.100.0/24"), Standing::Denied).unwrap();
    let error = maps.list(network_of("192.0.2.7"), Standing::Denied).unwrap_err();
    assert!(error.to_string().contains("listed by the configuration"), "{error}");
    assert!(maps.unlist(network_of("192.0.2.7")).is_err());
    throttle.reconfigure(&with(&[("192.0.2.0/24", Standing::Allowed)])).unwrap();
    let mut lists = maps.lists().unwrap();
    lists.sort_by_key(|(network, ..)| network.to_string());
    assert_eq!(
        lists,
        [
            (network_of("192.0.2.0/24"), Standing::Allowed, true),
            (network_of("198.51.100.0/24"), Standing::Denied, false)
        ]
    );
}

#[test]
fn nobody_can_open_the_maps_of_a_throttle_that_does_not_run() {
    let network = Network::new();
    let error = KernelMaps::open(&network.pin_directory, INTERFACE).err().unwrap();
    assert!(error.to_string().ends_with("no kernel throttle runs there"), "{error}");
}

const CHILD: &str = "TOLLGATE_TEST_CHILD";

/// The other process of `what_a_killed_process_left_is_taken_over_or_removed`; alone, it has
/// nothing to do.
#[test]
fn a_process_that_is_killed() {
    let Ok(child) = env::var(CHILD) else { return };
    let (directory, interface) = child.split_once(' ').unwrap();
    let mut kernel = KernelSettings::new(interface);
    (kernel.required, kernel.sources, kernel.slots) = (true, 1024, 1 << 16);
    kernel.pin_directory = directory.into();
    let settings = Settings { kernel: Some(kernel), ..Settings::default() };
    let throttle = SourceThrottle::start(&settings).unwrap();
    let denied = "198.51.100.1".parse().unwrap();
    throttle.kernel_maps().unwrap().list(denied, Standing::Denied).unwrap();
    fs::write("/dev/stderr", "started\n").unwrap();
    thread::sleep(Duration::from_secs(600));
}

fn leave_behind(network: &Network, interface: &str) {
    let mut child = network.on(GATEWAY, || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "lifecycle::a_process_that_is_killed", "--nocapture"])
            .env(CHILD, format!("{} {interface}", network.pin_directory.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    });
    let patience = Instant::now() + Duration::from_secs(60);
    let is_started = || {
        KernelMaps::open(&network.pin_directory, interface)
            .and_then(|maps| maps.lists())
            .is_ok_and(|lists| !lists.is_empty())
    };
    while !is_started() {
        assert!(Instant::now() < patience, "the child doesn't start");
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Of this thread.
fn keep_capabilities(capabilities: u64) {
    #[repr(C)]
    struct Header {
        version: u32,
        thread: i32,
    }
    let header = Header { version: 0x2008_0522, thread: 0 };
    let (low, high) = (capabilities as u32, (capabilities >> 32) as u32);
    // Effective, permitted, inheritable, of 32 capabilities each.
    let data = [low, low, 0, high, high, 0];
    // SAFETY: the pointers are to a header and data of the version that the header says.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}
