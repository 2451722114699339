//! The addresses behind a VPC link: requests go to the healthy ones in turn.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{ConnectError, probe};
use crate::config::{HealthCheck, VpcLink};

/// How often names among the addresses are resolved again.
const RESOLUTION_INTERVAL: Duration = Duration::from_secs(30);

/// One VPC link's targets and their health.
pub struct Balancer {
    id: String,
    names: Vec<String>,
    check: HealthCheck,
    targets: Mutex<Vec<Target>>,
    /// Healthy targets, or all of them when none is: trying is better than refusing.
    usable: ArcSwap<Vec<SocketAddr>>,
    next: AtomicUsize,
}

struct Target {
    address: SocketAddr,
    healthy: bool,
    /// Results in a row that contradict `healthy`.
    contrary: u32,
}

impl Balancer {
    pub fn new(id: String, link: &VpcLink) -> Arc<Self> {
        Arc::new(Self {
            id,
            names: link.addresses.clone(),
            check: link.health_check.clone(),
            targets: Mutex::default(),
            usable: ArcSwap::default(),
            next: AtomicUsize::new(0),
        })
    }

    /// All usable addresses, starting with the one whose turn it is.
    pub async fn candidates(&self) -> Result<Arc<[SocketAddr]>, ConnectError> {
        if self.usable.load().is_empty() {
            self.resolve().await;
        }
        let usable = self.usable.load();
        if usable.is_empty() {
            return Err(ConnectError::Resolve {
                host: self.names.join(", "),
                source: std::io::Error::other("no address of the VPC link can be resolved"),
            });
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed) % usable.len();
        Ok(usable[first..].iter().chain(&usable[..first]).copied().collect())
    }

    /// A request could not connect: counts like a failed health check.
    pub fn report_failure(&self, address: SocketAddr) {
        self.record(address, false);
    }

    /// Checks health until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut resolved = tokio::time::Instant::now();
        self.resolve().await;
        loop {
            tokio::time::sleep(self.check.interval).await;
            if resolved.elapsed() >= RESOLUTION_INTERVAL {
                resolved = tokio::time::Instant::now();
                self.resolve().await;
            }
            let addresses: Vec<SocketAddr> =
                self.targets.lock().iter().map(|target| target.address).collect();
            for address in addresses {
                self.record(address, probe(address, self.check.timeout).await.is_ok());
            }
        }
    }

    async fn resolve(&self) {
        let mut addresses = Vec::new();
        for name in &self.names {
            match tokio::net::lookup_host(name).await {
                Ok(found) => addresses.extend(found),
                Err(error) => {
                    tracing::warn!(vpc_link = %self.id, %name, %error, "cannot resolve a target");
                }
            }
        }
        if addresses.is_empty() {
            return;
        }
        let mut targets = self.targets.lock();
        targets.retain(|target| addresses.contains(&target.address));
        for address in addresses {
            if !targets.iter().any(|target| target.address == address) {
                targets.push(Target { address, healthy: true, contrary: 0 });
            }
        }
        self.publish(&targets);
    }

    fn record(&self, address: SocketAddr, success: bool) {
        let mut targets = self.targets.lock();
        let Some(target) = targets.iter_mut().find(|target| target.address == address) else {
            return;
        };
        if target.healthy == success {
            target.contrary = 0;
            return;
        }
        target.contrary += 1;
        let threshold = match success {
            true => self.check.healthy_threshold,
            false => self.check.unhealthy_threshold,
        };
        if target.contrary >= threshold {
            target.healthy = success;
            target.contrary = 0;
            tracing::warn!(vpc_link = %self.id, %address, healthy = success, "target changed");
            self.publish(&targets);
        }
    }

    fn publish(&self, targets: &[Target]) {
        let healthy: Vec<_> =
            targets.iter().filter(|target| target.healthy).map(|target| target.address).collect();
        let usable = if healthy.is_empty() {
            targets.iter().map(|target| target.address).collect()
        } else {
            healthy
        };
        self.usable.store(Arc::new(usable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(addresses: &[&str]) -> Arc<Balancer> {
        let link = VpcLink {
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            health_check: HealthCheck::default(),
        };
        Balancer::new("link".into(), &link)
    }

    #[tokio::test]
    async fn targets_take_turns_and_a_failing_one_is_left_out() {
        let balancer = balancer(&["127.0.0.1:1", "127.0.0.1:2"]);
        let first = balancer.candidates().await.unwrap();
        let second = balancer.candidates().await.unwrap();
        assert_ne!(first[0], second[0]);
        assert_eq!(first.len(), 2);

        balancer.report_failure(first[0]);
        assert_eq!(balancer.candidates().await.unwrap().len(), 2, "one failure is not enough");
        balancer.report_failure(first[0]);
        assert_eq!(&*balancer.candidates().await.unwrap(), &[second[0]]);
    }

    #[tokio::test]
    async fn when_all_targets_fail_all_are_tried() {
        let balancer = balancer(&["127.0.0.1:1", "127.0.0.1:2"]);
        let all = balancer.candidates().await.unwrap();
        for address in all.iter().chain(all.iter()) {
            balancer.report_failure(*address);
        }
        assert_eq!(balancer.candidates().await.unwrap().len(), 2);
    }
}
