//! The throttle in the kernel, with the gateway on a host of its own: root, Linux 5.12 or later
//! and `ip` are needed.

mod network;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tollgate_tests::{
    Api, Dev, Frame, Frames, Gateway, Http1, Issued, Process, Serve, binary, eventually, get, mock,
    request_block, tollgate,
};

use network::{ATTACKER, CLIENT, Network, SynFlood, ask, gateway_ipv4, gateway_ipv6, ipv4, ipv6};

/// A penalty that lasts for the whole test, after 20 offences.
const STRICT: &str = "penalty: {tolerated: {rate: 1, burst: 20}, first: 1h, longest: 1h}";

/// `GET /open` for anybody; `GET /closed` is always 429 in [`serve`].
fn api() -> Api {
    Api::new().route("GET /open", mock(200, "open")).route("GET /closed", mock(200, "closed"))
}

/// A gateway on all addresses, with more in its `throttle.kernel`.
fn serve(network: &Network, kernel: &str) -> Serve {
    Serve::new(api())
        .attach("methods: {GET /closed: {throttle: {rate: 0, burst: 0}}}")
        .listener("address: '[::]:0'")
        .with(&throttle(network, kernel))
}

fn throttle(network: &Network, kernel: &str) -> String {
    let (interface, pins) = (&network.interface, network.pins());
    let pins = pins.display();
    format!(
        "throttle:\n  kernel: {{interface: {interface}, sources: 1024, slots: 65536, pin_directory: {pins}, {kernel}}}"
    )
}

/// The listener that clients reach.
fn address(gateway: &Gateway) -> SocketAddr {
    gateway_ipv4(gateway.https.port())
}

fn request(path: &str) -> String {
    with_header(path, "X-A: 1")
}

fn with_header(path: &str, header: &str) -> String {
    let host = "petstore01.execute-api.us-east-1.localhost";
    format!("GET /prod{path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n")
}

/// `tollgate throttle COMMAND` on the gateway's host: what it prints.
#[track_caller]
fn command(network: &Network, arguments: &[&str]) -> String {
    let pins = network.pins();
    let target = ["--interface", &network.interface, "--pin-directory", pins.to_str().unwrap()];
    let finished = tollgate(Path::new("/"), &[&["throttle"], arguments, &target].concat());
    assert_eq!(finished.code, 0, "{finished:?}");
    finished.stdout
}

#[track_caller]
fn status(network: &Network) -> Value {
    serde_json::from_str(&command(network, &["status", "--output", "json"])).expect("JSON")
}

fn is_in_the_box(network: &Network, address: &str) -> bool {
    let status = status(network);
    status["penalty_box"].as_array().unwrap().iter().any(|it| it["address"] == address)
}

fn packets(gateway: &Gateway, outcome: &str) -> f64 {
    gateway.metric(&format!("tollgate_source_throttle_packets_total{{outcome=\"{outcome}\"}}"))
}

#[track_caller]
fn assert_nothing_is_left(network: &Network) {
    eventually("no program is left", || (!network.link().contains("xdp")).then_some(()));
    assert!(!network.pins().join(&network.interface).exists());
}

#[test]
fn a_flood_of_syns_from_one_address_costs_the_others_nothing() {
    let network = Network::new();
    let gateway = serve(&network, "required: true").start();
    let ready = gateway.manage("/readyz").text();
    assert_eq!(ready, format!("ready\nsource throttle: native on {}\n", network.interface));
    gateway.assert_metric("tollgate_source_throttle_mode{mode=\"native\"}", 1.0);

    let (to, done) = (address(&gateway), AtomicBool::new(false));
    let failures = thread::scope(|scope| {
        scope.spawn(|| {
            network.on(ATTACKER, || {
                let flood = SynFlood::new(to);
                let mut sent = 0_u32;
                while !done.load(Ordering::Relaxed) || sent < 20_000 {
                    flood.send(1024 + (sent % 50_000) as u16);
                    sent += 1;
                    if sent.is_multiple_of(32) {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        });
        let failures: Vec<_> = network.on(CLIENT, || {
            let addresses = [to, gateway_ipv6(to.port())].into_iter().cycle().take(200);
            let answers = addresses.map(|address| ask(address, &request("/open")));
            answers.filter(|answer| !matches!(answer, Ok(200))).collect()
        });
        done.store(true, Ordering::Relaxed);
        failures
    });
    assert!(failures.is_empty(), "{failures:?}");
    let dropped = packets(&gateway, "connection_rate");
    assert!(dropped > 10_000.0, "{dropped} dropped");
    let top = &status(&network)["sources"][0];
    assert_eq!(top["address"], ipv4(ATTACKER).to_string());
    assert!(top["connection_rate"].as_f64().unwrap() > 10_000.0, "{top}");
}

#[test]
fn who_collects_429s_is_dropped_until_released() {
    let network = Network::new();
    let gateway = serve(&network, STRICT).start();
    for (to, name) in [
        (address(&gateway), ipv4(ATTACKER).to_string()),
        // The network is the source.
        (gateway_ipv6(gateway.https.port()), ipv6(ATTACKER).to_string().replace("::1", "::")),
    ] {
        let ask = |host, path| network.ask(host, to, &request(path));
        // 20 are forgiven, and one for each second that this takes.
        let answers: Vec<_> = (0..60).map_while(|_| ask(ATTACKER, "/closed")).collect();
        assert!((20..60).contains(&answers.len()), "{answers:?}");
        assert!(answers.iter().all(|status| *status == 429), "{answers:?}");
        assert!(is_in_the_box(&network, &name), "{}", status(&network));
        assert_eq!(ask(ATTACKER, "/open"), None);
        assert_eq!(ask(CLIENT, "/open"), Some(200));
        assert!(packets(&gateway, "penalty") > 0.0);
        command(&network, &["release", &name]);
        assert_eq!(ask(ATTACKER, "/open"), Some(200));
        assert!(!is_in_the_box(&network, &name));
    }
}

/// Sends bytes from the attacker's host so often, and asserts that it is in the penalty box then.
fn assert_penalised(network: &Network, gateway: &Gateway, port: u16, bytes: &str, times: usize) {
    let to = gateway_ipv4(port);
    for _ in 0..times {
        network.on(ATTACKER, || {
            // Soon it gets no answer.
            let connected = TcpStream::connect_timeout(&to, Duration::from_millis(100));
            let _ = connected.and_then(|mut stream| stream.write_all(bytes.as_bytes()));
        });
    }
    eventually("it is in the penalty box", || {
        is_in_the_box(network, &ipv4(ATTACKER).to_string()).then_some(())
    });
    assert_eq!(network.ask(ATTACKER, address(gateway), &request("/open")), None);
    assert_eq!(network.ask(CLIENT, address(gateway), &request("/open")), Some(200));
}

#[test]
fn who_asks_for_what_is_not_there_is_dropped() {
    let network = Network::new();
    let gateway = serve(&network, STRICT).start();
    let nowhere = "GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n";
    assert_penalised(&network, &gateway, gateway.https.port(), nowhere, 60);
}

#[test]
fn who_fails_handshakes_is_dropped_sooner() {
    let network = Network::new();
    let gateway = serve(&network, STRICT)
        .listener("address: '0.0.0.0:0', tls: true")
        .certificate("tls", &Issued::of(&["localhost"]))
        .start();
    let port = gateway.process.stderr_line("its TLS listener", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let address: SocketAddr = line["address"].as_str()?.parse().ok()?;
        (line["tls"] == true).then_some(address.port())
    });
    assert_penalised(&network, &gateway, port, "this is no client hello", 20);
}

#[test]
fn networks_are_denied_and_allowed_by_commands_and_by_the_configuration() {
    let network = Network::new();
    let gateway = serve(&network, "required: true").start();
    let answers = || {
        let request = request("/open");
        [CLIENT, ATTACKER].map(|host| network.ask(host, address(&gateway), &request))
    };
    assert_eq!(answers(), [Some(200), Some(200)]);
    command(&network, &["deny", "10.11.0.0/24"]);
    assert_eq!(answers(), [None, None]);
    command(&network, &["allow", &ipv4(CLIENT).to_string()]);
    assert_eq!(answers(), [Some(200), None]);
    let text = command(&network, &["status"]);
    assert!(
        text.contains("denied  10.11.0.0/24\n") && text.contains("allowed 10.11.0.2\n"),
        "{text}"
    );
    command(&network, &["release", "10.11.0.0/24", &ipv4(CLIENT).to_string()]);
    assert_eq!(answers(), [Some(200), Some(200)]);

    let text = std::fs::read_to_string(gateway.path("tollgate.yaml")).unwrap();
    let denied = format!("required: true, deny: [{}]", ipv4(ATTACKER));
    gateway.replace_file("tollgate.yaml", text.replace("required: true", &denied));
    gateway.process.signal(libc::SIGHUP);
    eventually("the configuration's list is there", || {
        (status(&network)["lists"][0]["configured"] == true).then_some(())
    });
    assert_eq!(answers(), [Some(200), None]);
    gateway.replace_file("tollgate.yaml", text);
    gateway.process.signal(libc::SIGHUP);
    eventually("the list is empty", || {
        status(&network)["lists"].as_array().unwrap().is_empty().then_some(())
    });
    assert_eq!(answers(), [Some(200), Some(200)]);
}

#[test]
fn a_reload_brings_other_limits() {
    let network = Network::new();
    let gateway = serve(&network, "connections: {rate: 1000, burst: 2000}").start();
    let ask = || network.ask(CLIENT, address(&gateway), &request("/open"));
    assert_eq!(ask(), Some(200));
    reload(&gateway, "burst: 2000", "burst: 0");
    assert_eq!(ask(), None);
}

/// Replaces a part of the configuration, and waits until the gateway has it.
fn reload(gateway: &Gateway, from: &str, to: &str) {
    let text = std::fs::read_to_string(gateway.path("tollgate.yaml")).unwrap();
    assert!(text.contains(from), "{text}");
    let reloads = || gateway.metric("tollgate_reloads_total{result=\"applied\"}");
    let before = reloads();
    gateway.replace_file("tollgate.yaml", text.replace(from, to));
    gateway.process.signal(libc::SIGHUP);
    eventually("it is reloaded", || (reloads() > before).then_some(()));
}

#[test]
fn behind_a_trusted_proxy_the_forwarded_client_is_penalised_and_the_proxy_never() {
    let network = Network::new();
    let trusted = format!("\n  trusted_proxies: [{}]", ipv4(CLIENT));
    let throttle = throttle(&network, STRICT) + &trusted;
    let gateway = Serve::new(api())
        .attach("methods: {GET /closed: {throttle: {rate: 0, burst: 0}}}")
        .listener("address: '[::]:0'")
        .with(&throttle)
        .start();
    let to = address(&gateway);
    let ask = |host, path, client: &str| {
        network.ask(host, to, &with_header(path, &format!("X-Forwarded-For: {client}")))
    };
    // What the client claims stands before what the proxy adds.
    let abuser = "198.51.100.1, 203.0.113.7";
    for _ in 0..60 {
        assert_eq!(ask(CLIENT, "/closed", abuser), Some(429));
    }
    assert_eq!(ask(CLIENT, "/open", abuser), Some(429));
    assert!(gateway.metric("tollgate_requests_throttled_total{level=\"penalty_box\"}") > 0.0);
    assert_eq!(ask(CLIENT, "/open", "203.0.113.8"), Some(200));
    assert_eq!(ask(CLIENT, "/open", "198.51.100.1"), Some(200));
    assert!(is_in_the_box(&network, "203.0.113.7"));
    assert!(!is_in_the_box(&network, &ipv4(CLIENT).to_string()));
    command(&network, &["release", "203.0.113.7"]);
    assert_eq!(ask(CLIENT, "/open", abuser), Some(200));
    // Nobody else is believed.
    let answers = (0..60).map_while(|_| ask(ATTACKER, "/closed", "203.0.113.9")).count();
    assert!(answers < 60, "it is never dropped");
    assert!(is_in_the_box(&network, &ipv4(ATTACKER).to_string()));
    assert_eq!(ask(CLIENT, "/open", "203.0.113.9"), Some(200));
}

#[test]
fn a_reload_says_whose_x_forwarded_for_counts() {
    let network = Network::new();
    let [nobody, proxy] = [ipv4(9), ipv4(CLIENT)].map(|it| format!("trusted_proxies: [{it}]"));
    let gateway = Serve::new(api())
        .attach("methods: {GET /closed: {throttle: {rate: 0, burst: 0}}}")
        .listener("address: '[::]:0'")
        .with(&format!("{}\n  {nobody}", throttle(&network, STRICT)))
        .start();
    let to = address(&gateway);
    let abuser = "203.0.113.7";
    let ask =
        |path| network.ask(CLIENT, to, &with_header(path, &format!("X-Forwarded-For: {abuser}")));
    let refuse = || (0..60).map_while(|_| ask("/closed")).count();
    assert_eq!(ask("/open"), Some(200));

    reload(&gateway, &nobody, &proxy);
    assert_eq!(refuse(), 60, "a proxy is never dropped");
    assert_eq!(ask("/open"), Some(429));
    assert!(is_in_the_box(&network, abuser));

    reload(&gateway, &proxy, &nobody);
    assert_eq!(ask("/open"), Some(200), "who is no proxy speaks for nobody");
    assert!(refuse() < 60, "it is never dropped");
    assert!(is_in_the_box(&network, &ipv4(CLIENT).to_string()));
}

/// Starts the binary as nobody. The caller has the folder.
fn start_as_nobody(folder: &Path) -> Process {
    start_as_nobody_with(folder, &[])
}

/// The same with more arguments for `setpriv`.
fn start_as_nobody_with(folder: &Path, privileges: &[&str]) -> Process {
    for path in [folder, &folder.join("tollgate.yaml")] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(privileges).arg(binary());
    Process::start(command.args(["serve", "--config", "tollgate.yaml"]).current_dir(folder))
}

const MISSING: &str = "missing privileges: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON";

#[test]
fn without_privileges_limits_are_enforced_when_clients_connect() {
    let network = Network::new();
    let folder = serve(&network, "connections: {rate: 0.001, burst: 5}, deny: [10.11.0.2]").write();
    let process = start_as_nobody(folder.path());
    let said = |wanted: &dyn Fn(&Value) -> bool| {
        process.stderr_line("it in its log", |line| {
            serde_json::from_str(line).ok().filter(|line| wanted(line))
        })
    };
    let line: Value = said(&|line| line["message"] == "sources are throttled when they connect");
    assert_eq!((line["level"].as_str(), line["reason"].as_str()), (Some("WARN"), Some(MISSING)));
    let listening = said(&|line| line["address"].as_str().is_some_and(|it| it.starts_with("[::]")));
    let listening: SocketAddr = listening["address"].as_str().unwrap().parse().unwrap();
    let management = said(&|line| line["message"] == "management and metrics");
    let management: SocketAddr = management["address"].as_str().unwrap().parse().unwrap();
    let managed = |path: &str| Http1::connect(management).call(get(path));
    eventually("it is ready", || (managed("/readyz").status == 200).then_some(()));
    let ready = managed("/readyz").text();
    assert_eq!(ready, format!("ready\nsource throttle: user space ({MISSING})\n"));

    let to = gateway_ipv4(listening.port());
    let answers: Vec<_> = (0..8).map(|_| network.ask(ATTACKER, to, &request("/open"))).collect();
    assert_eq!(answers[..5], [Some(200); 5], "{answers:?}");
    assert_eq!(answers[5..], [None; 3], "{answers:?}");
    assert_eq!(network.ask(CLIENT, to, &request("/open")), None);
    let metrics = managed("/metrics").text();
    for line in [
        "tollgate_source_throttle_mode{mode=\"user_space\"} 1\n",
        "tollgate_source_throttle_connections_total{outcome=\"connection_rate\"} 3\n",
        "tollgate_source_throttle_connections_total{outcome=\"denied\"} 1\n",
        "tollgate_connections_refused_total{reason=\"source\"} 4\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
}

/// A gateway on this test's own host that can't throttle in the kernel, strict.
fn in_user_space() -> Gateway {
    Serve::new(api())
        .attach("methods: {GET /closed: {throttle: {rate: 0, burst: 0}}}")
        .tls(&Issued::of(&["localhost"]))
        .with(&format!("throttle: {{kernel: {{interface: gone0, {STRICT}}}}}"))
        .start()
}

#[test]
fn in_user_space_the_connection_on_which_429s_are_collected_ends() {
    let gateway = in_user_space();
    let ready = gateway.manage("/readyz").text();
    assert_eq!(ready, "ready\nsource throttle: user space (there is no network interface gone0)\n");
    let mut client = gateway.connect();
    let request = get("/prod/closed").host(&gateway.default_host());
    let kept = (0..60).take_while(|_| {
        let response = client.call(request.clone());
        assert_eq!(response.status, 429);
        response.header("Connection") != Some("close")
    });
    assert!(kept.count() < 60, "it is kept");
    client.assert_closed();
    assert!(ask(gateway.http, &with_header("/open", "X-A: 1")).is_err(), "it may come back");
}

#[test]
fn in_user_space_an_http_2_connection_ends_too() {
    let gateway = in_user_space();
    let mut client = Frames::connect(gateway.https);
    let headers = Frame::END_HEADERS | Frame::END_STREAM;
    let answer = |number: u32| {
        let block = request_block("GET", "/nowhere");
        client.send(&[Frame::new(Frame::HEADERS, headers, 1 + 2 * number, block)]).unwrap();
        loop {
            let kind = client.receive().expect("an answer or GOAWAY").kind;
            if matches!(kind, Frame::HEADERS | Frame::GOAWAY) {
                return kind;
            }
        }
    };
    assert!((0..60).map(answer).any(|kind| kind == Frame::GOAWAY), "it is kept");
}

/// What `deploy/tollgate.service` gives the gateway where it is to throttle in the kernel.
const UNIT: &str = include_str!("../../../deploy/tollgate.service");

/// The capabilities of a setting of the unit that is there to be uncommented, for `setpriv`.
fn capabilities(setting: &str) -> String {
    let found = UNIT.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(setting));
    let names = found.expect("the unit has the setting").split(' ');
    let name = |name: &str| format!("+{}", name.strip_prefix("CAP_").unwrap().to_lowercase());
    names.map(name).collect::<Vec<_>>().join(",")
}

#[test]
fn the_capabilities_of_the_systemd_unit_are_enough() {
    let network = Network::new();
    let folder = serve(&network, "required: true").write();
    let pins = folder.path().join("bpf");
    std::fs::create_dir(&pins).unwrap();
    let yaml = folder.path().join("tollgate.yaml");
    let own = network.pins().display().to_string();
    let text = std::fs::read_to_string(&yaml).unwrap().replace(&own, pins.to_str().unwrap());
    std::fs::write(&yaml, text).unwrap();
    let _mounted = Mounted::bpf(&pins);
    chown(&pins, Some(65534), Some(65534)).unwrap();
    let given = capabilities("AmbientCapabilities=");
    let bound = format!("-all,{}", capabilities("CapabilityBoundingSet="));
    let privileges = ["--inh-caps", &given, "--ambient-caps", &given, "--bounding-set", &bound];
    let mut process =
        start_as_nobody_with(folder.path(), &[&privileges[..], &["--no-new-privs"]].concat());
    process.stderr_line("that it throttles", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "sources are throttled" && line["mode"] == "native").then_some(())
    });
    assert!(network.link().contains(" xdp "));
    process.signal(libc::SIGTERM);
    process.exit();
    assert_nothing_is_left(&network);
}

/// A BPF file system, until it is dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn bpf(path: &'a Path) -> Self {
        let status = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(path).status();
        assert!(status.expect("mount is there").success());
        Self(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn where_the_kernel_throttle_is_required_nothing_starts_without_it() {
    let network = Network::new();
    let folder = serve(&network, "required: true").write();
    let mut process = start_as_nobody(folder.path());
    assert_eq!(process.exit().code(), Some(1));
    let line = process.stderr_line("what is missing", |line| {
        line.starts_with("throttle.kernel: ").then(|| line.to_owned())
    });
    assert_eq!(line, format!("throttle.kernel: {MISSING}"));

    let yaml = std::fs::read_to_string(folder.path().join("tollgate.yaml")).unwrap();
    let yaml = yaml.replace(&format!("interface: {}", network.interface), "interface: gone0");
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let finished = tollgate(folder.path(), &["serve", "--config", "tollgate.yaml"]);
    assert_eq!(finished.code, 1);
    let line = "throttle.kernel: there is no network interface gone0";
    assert!(finished.stderr.lines().any(|it| it == line), "{}", finished.stderr);
}

#[test]
fn an_upgrade_keeps_penalties_and_lists_and_the_last_exit_leaves_nothing() {
    let network = Network::new();
    let mut gateway = serve(&network, STRICT).start_installed();
    let to = address(&gateway);
    let ask = |host, path| network.ask(host, to, &request(path));
    let answers = (0..60).map_while(|_| ask(ATTACKER, "/closed")).count();
    assert!(answers < 60, "it is never dropped");
    command(&network, &["deny", "192.0.2.0/24"]);
    gateway.process.signal(libc::SIGUSR2);
    let process = gateway.process.stderr_line("that the new process serves", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["process"].as_i64()
    });
    assert_eq!(gateway.process.exit().code(), Some(0));
    assert!(network.link().contains("xdp"), "{}", network.link());
    assert!(is_in_the_box(&network, &ipv4(ATTACKER).to_string()));
    assert_eq!(status(&network)["lists"][0]["network"], "192.0.2.0/24");
    assert_eq!([ask(ATTACKER, "/open"), ask(CLIENT, "/open")], [None, Some(200)]);

    // SAFETY: the process is one of the group that the harness ends; it was told of just now.
    assert_eq!(unsafe { libc::kill(i32::try_from(process).unwrap(), libc::SIGTERM) }, 0);
    assert_nothing_is_left(&network);
}

#[test]
fn an_exit_leaves_no_program_and_no_pins() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let network = Network::new();
        let mut gateway = serve(&network, "required: true").start();
        assert!(network.link().contains(" xdp "), "{}", network.link());
        gateway.process.signal(signal);
        gateway.process.exit();
        assert_nothing_is_left(&network);
    }
}

#[test]
fn without_the_section_nothing_is_loaded() {
    let network = Network::new();
    let gateway = Serve::new(api()).start();
    assert_eq!(gateway.manage("/readyz").text(), "ready\n");
    assert!(!gateway.manage("/metrics").text().contains("source_throttle"));
    assert!(!network.link().contains("xdp"));
}

#[test]
fn dev_throttles_in_the_kernel_when_asked() {
    let network = Network::new();
    let mut gateway =
        Dev::new(api()).argument("--kernel-throttle").argument(&network.interface).start();
    let expected = format!("source throttle: native on {}", network.interface);
    gateway.process.stderr_line("where it throttles", |line| (line == expected).then_some(()));
    assert!(network.link().contains(" xdp "));
    let finished =
        tollgate(gateway.folder(), &["throttle", "status", "--interface", &network.interface]);
    assert!(finished.stdout.contains(", native\n"), "{finished:?}");
    gateway.process.signal(libc::SIGTERM);
    gateway.process.exit();
    assert_nothing_is_left(&network);
}
