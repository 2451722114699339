//! A small network: namespaces with an address each on one switch, as hosts with their own
//! network cards would be.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tollgate_xdp::{KernelSettings, Listener, Settings};

static NETWORKS: AtomicU32 = AtomicU32::new(0);

pub const INTERFACE: &str = "eth0";
pub const PORT: u16 = 8443;
pub const SSH: u16 = 22;

/// Hosts by number: 1 is the gateway.
pub struct Network {
    name: String,
    pub pin_directory: PathBuf,
    hosts: u8,
}

pub const GATEWAY: u8 = 1;
pub const CLIENT: u8 = 2;
pub const ATTACKER: u8 = 3;

impl Network {
    pub fn new() -> Self {
        let name = format!("tg{}x{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let network = Self {
            pin_directory: PathBuf::from(format!("/sys/fs/bpf/tollgate-test-{name}")),
            name,
            hosts: 3,
        };
        let switch = network.namespace(0);
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "switch", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "switch", "up"]);
        for host in 1..=network.hosts {
            network.add_host(&switch, host);
        }
        network
    }

    fn add_host(&self, switch: &str, host: u8) {
        let (namespace, port) = (self.namespace(host), format!("port{host}"));
        let card = format!("02:00:00:00:00:{host:02x}");
        ip(&["netns", "add", &namespace]);
        ip(&[
            "-n", switch, "link", "add", &port, "type", "veth", "peer", "name", INTERFACE,
            "address", &card, "netns", &namespace,
        ]);
        ip(&["-n", switch, "link", "set", &port, "master", "switch", "up"]);
        // Not asked whether somebody else has the address: that takes seconds.
        ip(&["-n", &namespace, "addr", "add", &format!("{}/16", ipv4(host)), "dev", INTERFACE]);
        let ipv6 = format!("{}/32", ipv6(host));
        ip(&["-n", &namespace, "addr", "add", &ipv6, "dev", INTERFACE, "nodad"]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        ip(&["-n", &namespace, "link", "set", INTERFACE, "up"]);
    }

    /// The name of a host's namespace.
    pub fn host(&self, host: u8) -> String {
        self.namespace(host)
    }

    fn namespace(&self, host: u8) -> String {
        format!("{}-{host}", self.name)
    }

    /// Runs something on a host, in a thread of its own.
    pub fn on<T: Send>(&self, host: u8, work: impl FnOnce() -> T + Send) -> T {
        let namespace = self.namespace(host);
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    enter(&namespace);
                    work()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// For the gateway: listening on its port on all addresses.
    pub fn settings(&self) -> Settings {
        let mut kernel = KernelSettings::new(INTERFACE);
        kernel.required = true;
        kernel.sources = 1024;
        kernel.slots = 1 << 16;
        kernel.pin_directory = self.pin_directory.clone();
        Settings {
            kernel: Some(kernel),
            listeners: vec![Listener {
                address: SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT),
                is_ipv6_only: false,
            }],
            ..Settings::default()
        }
    }

    /// A server on the gateway that greets whoever connects, until it is dropped.
    pub fn serve(&self, port: u16) -> Server {
        let listener =
            self.on(GATEWAY, || TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        let _ = stream.write_all(b"hello");
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        thread::sleep(Duration::from_millis(1));
                    }
                    Err(_) => {}
                }
            }
        });
        Server { stop, thread: Some(thread) }
    }

    /// Whether a host gets its greeting.
    pub fn is_served(&self, host: u8, gateway: IpAddr, port: u16, patience: Duration) -> bool {
        self.on(host, || greeting(gateway, port, patience).is_ok())
    }

    /// What `ip link` says of the gateway's interface.
    pub fn link(&self, interface: &str) -> String {
        let namespace = self.namespace(GATEWAY);
        let output = Command::new("ip")
            .args(["-n", &namespace, "link", "show", interface])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Connects once and reads the greeting.
pub fn greeting(gateway: IpAddr, port: u16, patience: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(gateway, port), patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut hello = [0; 5];
    stream.read_exact(&mut hello)
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in 0..=self.hosts {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(host)]).output();
        }
        let _ = std::fs::remove_dir(&self.pin_directory);
    }
}

pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

pub fn ipv4(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 9, 0, host).into()
}

/// Each in a /64 of its own.
pub fn ipv6(host: u8) -> IpAddr {
    Ipv6Addr::new(0xfd09, 0, 0, host.into(), 0, 0, 0, 1).into()
}

/// Sends frames as they are, on the interface of the thread's namespace.
pub struct Sender(OwnedFd);

impl Sender {
    pub fn new() -> Self {
        // SAFETY: no pointers.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: a string with its zero.
        let index = unsafe { libc::if_nametoindex(c"eth0".as_ptr()) };
        // SAFETY: zero is valid for all fields.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index as i32;
        // SAFETY: the pointer is to an address of the length given.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        Self(socket)
    }

    /// Whether the frame was taken: queues may be full.
    pub fn send(&self, frame: &[u8]) -> bool {
        // SAFETY: the pointer and length are of a slice.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        sent == frame.len() as isize
    }
}

fn enter(namespace: &str) {
    let file = File::open(format!("/var/run/netns/{namespace}")).unwrap();
    // SAFETY: the descriptor is open; only this thread changes.
    let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "{}", io::Error::last_os_error());
}

pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("`ip` is there (iproute2)");
    assert!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
