//! Where clients come from: the throttle of sources, which is in the kernel or at accept time,
//! what it is told of clients, and trusted proxies, which speak for others.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tollgate_xdp::{
    Admission, Listener, Mode, Network, Offence, Reported, Settings, SourceThrottle, StartError,
    Status, ThrottleCollector,
};

use crate::exchange::Client;
use crate::head::{Known, RequestHead};
use crate::metrics::Metrics;
use crate::refusal::Refusal;

/// The throttle of sources, if there is one, and the trusted proxies.
pub struct Sources {
    throttle: OnceLock<Arc<SourceThrottle>>,
    proxies: ArcSwap<TrustedProxies>,
    listeners: Vec<Listener>,
}

impl Sources {
    /// `listeners` are the addresses that clients connect to.
    pub fn new(listeners: Vec<Listener>, trusted: Vec<Network>) -> Self {
        Self {
            throttle: OnceLock::new(),
            proxies: ArcSwap::from_pointee(TrustedProxies(trusted)),
            listeners,
        }
    }

    /// Starts the throttle for the gateway's listeners.
    pub fn start(&self, settings: Settings, metrics: &Metrics) -> Result<(), StartError> {
        let throttle = Arc::new(SourceThrottle::start(&self.on_listeners(settings))?);
        report(&throttle.status());
        match ThrottleCollector::new(throttle.clone()) {
            Ok(collector) => metrics.register(Box::new(collector)),
            Err(error) => tracing::error!(%error, "metrics of the source throttle"),
        }
        // It is asked for once; a second one would go with its process.
        let _ = self.throttle.set(throttle);
        Ok(())
    }

    /// Takes over other limits and lists, if the throttle runs.
    pub fn reconfigure(&self, settings: Settings) {
        let Some(throttle) = self.throttle.get() else { return };
        if let Err(error) = throttle.reconfigure(&self.on_listeners(settings)) {
            tracing::error!(%error, "the source throttle keeps its old limits");
        }
    }

    /// Believes other proxies, from the next connection on.
    pub fn trust(&self, proxies: Vec<Network>) {
        self.proxies.store(Arc::new(TrustedProxies(proxies)));
    }

    /// Removes the throttle from the kernel, unless another process has taken it over.
    pub fn stop(&self) {
        if let Some(throttle) = self.throttle.get() {
            throttle.stop();
        }
    }

    /// What runs; none if the throttle wasn't asked for.
    pub fn status(&self) -> Option<Status> {
        self.throttle.get().map(|throttle| throttle.status())
    }

    /// Whether a connection that was just accepted may go on.
    pub fn admit(&self, address: IpAddr) -> bool {
        let admission = self.throttle.get().map(|throttle| throttle.admit_connection(address));
        !matches!(admission, Some(Admission::Refuse(_)))
    }

    /// Who speaks at the other end of a connection, if it is a trusted proxy.
    pub fn forwarding(&self, address: IpAddr) -> Option<Forwarding> {
        let proxies = self.proxies.load();
        proxies.contain(address).then(|| Forwarding {
            proxies: proxies.clone(),
            throttle: self.throttle.get().cloned(),
        })
    }

    /// A TLS handshake with an address failed.
    pub fn handshake_failed(&self, address: IpAddr) {
        if let Some(throttle) = self.throttle.get()
            && !self.proxies.load().contain(address)
        {
            throttle.report(address, Offence::FailedHandshake);
        }
    }

    /// A request is refused. Has the client's connection end if it is in the penalty box now.
    pub fn refused(&self, client: &Client, head: &RequestHead, refusal: &Refusal) {
        let (Some(throttle), Some(offence)) = (self.throttle.get(), refusal.offence()) else {
            return;
        };
        match (&client.forwarding, client.addresses) {
            (Some(forwarding), _) => {
                if let Some(address) = forwarding.client(head) {
                    throttle.report_forwarded(address, offence);
                }
            }
            (None, Some((peer, _))) => {
                if let Reported::Penalised(_) = throttle.report(peer.ip(), offence) {
                    client.penalised.store(true, Ordering::Relaxed);
                }
            }
            (None, None) => {}
        }
    }

    fn on_listeners(&self, settings: Settings) -> Settings {
        Settings { listeners: self.listeners.clone(), ..settings }
    }
}

/// The line in the log that says where sources are throttled.
fn report(status: &Status) {
    let (mode, interface) = (status.mode.as_str(), status.interface.as_deref());
    match (status.mode, &status.reason) {
        (Mode::UserSpace, Some(reason)) => {
            tracing::warn!(mode, reason, "sources are throttled when they connect");
        }
        (_, reason) => tracing::info!(mode, interface, reason, "sources are throttled"),
    }
}

/// Networks of proxies whose `X-Forwarded-For` is believed.
#[derive(Debug)]
struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// A trusted proxy at the client's end of a connection.
pub struct Forwarding {
    proxies: Arc<TrustedProxies>,
    throttle: Option<Arc<SourceThrottle>>,
}

impl Forwarding {
    /// The client that the proxies forward for: the last address in `X-Forwarded-For` that is no
    /// proxy's own. What stands before it anybody may have written. None: there is none, or
    /// something else stands there.
    pub fn client(&self, head: &RequestHead) -> Option<IpAddr> {
        let fields = head.fields.iter().rev().filter(|it| it.known == Known::XForwardedFor);
        fields
            .flat_map(|field| head.value(field).rsplit(|byte| *byte == b','))
            .map(address)
            .find(|address| address.is_none_or(|address| !self.proxies.contain(address)))
            .flatten()
    }

    /// How long a client stays in the penalty box; none if it isn't in.
    pub fn penalty(&self, client: IpAddr) -> Option<Duration> {
        self.throttle.as_ref()?.forwarded_penalty(client)
    }
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Forwarding").field(&self.proxies).finish()
    }
}

/// An entry of `X-Forwarded-For`: some proxies add the port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::authorize::test_support::head;

    #[test]
    fn the_client_is_the_last_one_that_is_no_proxy() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|it| it.parse().unwrap());
        let sources = Sources::new(Vec::new(), trusted.to_vec());
        assert!(sources.forwarding("192.0.2.1".parse().unwrap()).is_none());
        let forwarding = sources.forwarding("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        let client = |values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|value| ("X-Forwarded-For", *value)).collect();
            forwarding.client(&head("GET", "/", &fields)).map(|it| it.to_string())
        };
        for (values, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["203.0.113.9, 192.0.2.1 ,10.1.2.3"], Some("192.0.2.1")),
            (&["203.0.113.9", "192.0.2.1", "10.1.2.3, 2001:db8::7"], Some("192.0.2.1")),
            (&["192.0.2.1:4711, 10.0.0.2:80"], Some("192.0.2.1")),
            (&["[2001:db9::1]:443"], Some("2001:db9::1")),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
            // Nobody knows who wrote what stands before something odd.
            (&["192.0.2.1, unknown"], None),
            (&["192.0.2.1,"], None),
            (&["10.0.0.2"], None),
            (&[], None),
        ] {
            assert_eq!(client(values).as_deref(), expected, "{values:?}");
        }
    }
}
