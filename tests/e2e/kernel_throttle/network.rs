//! Hosts with their own addresses on one switch: network namespaces and veth pairs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

static NETWORKS: AtomicU32 = AtomicU32::new(0);

const GATEWAY: u8 = 1;
pub const CLIENT: u8 = 2;
pub const ATTACKER: u8 = 3;

/// For the answer to a request, or for none: long enough for the SYNs that TCP sends again.
const PATIENCE: Duration = Duration::from_secs(4);

/// A gateway's host, which this thread is on until the network is dropped, and two clients'.
pub struct Network {
    name: String,
    /// The gateway's network interface.
    pub interface: String,
    before: File,
}

impl Network {
    pub fn new() -> Self {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let name = format!("tge{}x{number}", std::process::id());
        let before = File::open("/proc/thread-self/ns/net").expect("a thread has a namespace");
        let network = Self { interface: name.clone(), name, before };
        let switch = network.namespace(0);
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "switch", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "switch", "up"]);
        for host in [GATEWAY, CLIENT, ATTACKER] {
            network.add_host(&switch, host);
        }
        enter(&network.namespace(GATEWAY));
        network
    }

    fn add_host(&self, switch: &str, host: u8) {
        let (namespace, port) = (self.namespace(host), format!("port{host}"));
        let card = self.interface.as_str();
        ip(&["netns", "add", &namespace]);
        ip(&[
            "-n", switch, "link", "add", &port, "type", "veth", "peer", "name", card, "netns",
            &namespace,
        ]);
        ip(&["-n", switch, "link", "set", &port, "master", "switch", "up"]);
        let address = format!("{}/24", ipv4(host));
        ip(&["-n", &namespace, "addr", "add", &address, "dev", card]);
        // Not asked whether somebody else has the address: that takes seconds.
        let address = format!("{}/32", ipv6(host));
        ip(&["-n", &namespace, "addr", "add", &address, "dev", card, "nodad"]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        ip(&["-n", &namespace, "link", "set", card, "up"]);
    }

    fn namespace(&self, host: u8) -> String {
        format!("{}-{host}", self.name)
    }

    /// Runs something on a host, in a thread of its own.
    pub fn on<T: Send>(&self, host: u8, work: impl FnOnce() -> T + Send) -> T {
        let namespace = self.namespace(host);
        thread::scope(|scope| {
            let thread = scope.spawn(move || {
                enter(&namespace);
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The status of a host's request on a new connection. None: it gets no answer.
    pub fn ask(&self, host: u8, address: SocketAddr, request: &str) -> Option<u16> {
        self.on(host, || ask(address, request)).ok()
    }

    /// Where the gateway's `pin_directory` is.
    pub fn pins(&self) -> PathBuf {
        Path::new("/sys/fs/bpf").join(format!("tollgate-{}", self.interface))
    }

    /// What `ip link` says of the gateway's interface.
    pub fn link(&self) -> String {
        let output = Command::new("ip").args(["link", "show", &self.interface]).output();
        String::from_utf8(output.expect("ip is there").stdout).expect("ip prints text")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open; only this thread changes.
        unsafe { libc::setns(self.before.as_raw_fd(), libc::CLONE_NEWNET) };
        // Those of a gateway that was killed stay.
        let _ = std::fs::remove_dir_all(self.pins());
        for host in [0, GATEWAY, CLIENT, ATTACKER] {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(host)]).output();
        }
    }
}

/// The status of the answer to a request, on a new connection.
pub fn ask(address: SocketAddr, request: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let status = std::str::from_utf8(&start[9..]).ok().and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("no status"))
}

/// The gateway's addresses, as clients reach them.
pub fn gateway_ipv4(port: u16) -> SocketAddr {
    SocketAddr::new(ipv4(GATEWAY).into(), port)
}

pub fn gateway_ipv6(port: u16) -> SocketAddr {
    SocketAddr::new(ipv6(GATEWAY).into(), port)
}

pub fn ipv4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 11, 0, host)
}

/// Each in a /64 of its own.
pub fn ipv6(host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd11, 0, 0, host.into(), 0, 0, 0, 1)
}

/// Sends SYNs to an IPv4 address and never anything else.
pub struct SynFlood {
    socket: OwnedFd,
    to: SocketAddr,
}

impl SynFlood {
    /// From the host of this thread.
    pub fn new(to: SocketAddr) -> Self {
        // SAFETY: no pointers.
        let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP) };
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the descriptor is new and nobody else's.
        Self { socket: unsafe { OwnedFd::from_raw_fd(socket) }, to }
    }

    pub fn send(&self, port: u16) {
        let IpAddr::V4(to) = self.to.ip() else { unreachable!("the flood is of IPv4") };
        let segment = syn(ipv4(ATTACKER), to, port, self.to.port());
        // SAFETY: zero is valid for all fields.
        let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from_ne_bytes(to.octets());
        // SAFETY: pointers and lengths are those of a slice and of an address.
        unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                segment.as_ptr().cast(),
                segment.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_in>() as u32,
            );
        }
    }
}

/// A TCP header with SYN and its checksum (RFC 9293).
fn syn(from: Ipv4Addr, to: Ipv4Addr, source: u16, destination: u16) -> [u8; 20] {
    let mut segment = [0; 20];
    segment[..2].copy_from_slice(&source.to_be_bytes());
    segment[2..4].copy_from_slice(&destination.to_be_bytes());
    segment[12] = 5 << 4;
    segment[13] = 2;
    segment[14..16].copy_from_slice(&1024_u16.to_be_bytes());
    let pseudo_header = [from.octets(), to.octets(), [0, 6, 0, 20]].concat();
    let words = pseudo_header.chunks(2).chain(segment.chunks(2));
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

fn enter(namespace: &str) {
    let file = File::open(format!("/var/run/netns/{namespace}")).expect("the namespace is there");
    // SAFETY: the descriptor is open; only this thread changes.
    let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "{}", io::Error::last_os_error());
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip is there (iproute2)");
    assert!(
        output.status.success(),
        "these tests need root: ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
