//! How many client connections may be open, in all and from one client address.
//!
//! A connection is admitted before its first byte is read, and holds a [`ConnectionPermit`] until it
//! ends. A client address is an IPv4 address or an IPv6 /64: the smallest block that one customer
//! of a provider gets, so that one client can't count as 2⁶⁴ of them. Loopback addresses count like
//! others; whoever stands behind a local proxy sets the limit accordingly.
//!
//! Memory is bounded by the limit on all connections: an address without connections has no entry,
//! and a table that has become mostly empty shrinks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

/// The open connections of the gateway, by client address.
pub struct ConnectionLimits {
    total: u32,
    per_address: u32,
    open: AtomicU32,
    /// One lock for each 1/64 of the addresses: workers that accept at the same time rarely meet,
    /// and hold a lock for some tens of nanoseconds.
    shards: [Mutex<HashMap<ClientBlock, u32>>; SHARDS],
    /// Keyed by chance, so that nobody can choose addresses that fall in one shard.
    hasher: RandomState,
}

/// Why a connection isn't admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The gateway holds as many connections as it may.
    Total,
    /// The client's address does.
    Address,
}

/// One admitted connection; dropping it gives its place back.
pub struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    block: ClientBlock,
}

impl ConnectionLimits {
    /// `total` connections in all and `per_address` from one client address may be open. Zero admits
    /// nobody; `u32::MAX` is no limit in practice.
    pub fn new(total: u32, per_address: u32) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_address,
            open: AtomicU32::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        })
    }

    /// Counts a new connection from `address`, or says which limit it would pass.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<ConnectionPermit, Refused> {
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.total).then(|| open + 1)
            })
            .map_err(|_| Refused::Total)?;

        let block = ClientBlock::of(address);
        let admitted = {
            let mut shard = self.shard(block).lock();
            let open = shard.get(&block).copied().unwrap_or(0);
            let admitted = open < self.per_address;
            if admitted {
                shard.insert(block, open + 1);
            }
            admitted
        };
        if !admitted {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Address);
        }
        Ok(ConnectionPermit { limits: Arc::clone(self), block })
    }

    /// Open connections in all.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    fn release(&self, block: ClientBlock) {
        let mut shard = self.shard(block).lock();
        if let Entry::Occupied(mut entry) = shard.entry(block) {
            if *entry.get() > 1 {
                *entry.get_mut() -= 1;
            } else {
                entry.remove();
                if shard.capacity() > SMALL_TABLE && shard.capacity() / 8 > shard.len() {
                    let kept = shard.len() * 2;
                    shard.shrink_to(kept.max(SMALL_TABLE / 2));
                }
            }
        }
        drop(shard);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn shard(&self, block: ClientBlock) -> &Mutex<HashMap<ClientBlock, u32>> {
        &self.shards[self.hasher.hash_one(block) as usize % SHARDS]
    }
}

impl fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimits")
            .field("total", &self.total)
            .field("per_address", &self.per_address)
            .field("open", &self.open())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConnectionPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionPermit").field(&self.block).finish()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.release(self.block);
    }
}

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClientBlock {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl ClientBlock {
    fn of(address: IpAddr) -> Self {
        // A socket that listens on `::` shows IPv4 clients as `::ffff:a.b.c.d`, which would be one /64.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

const SHARDS: usize = 64;
/// Entries that a shard's table may keep room for when it is empty.
const SMALL_TABLE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn entries(limits: &ConnectionLimits) -> usize {
        limits.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    #[test]
    fn one_address_gets_its_share_and_not_more() {
        let limits = ConnectionLimits::new(10, 2);
        let _first = limits.admit(ip("192.0.2.1")).expect("room");
        let second = limits.admit(ip("192.0.2.1")).expect("room");
        assert_eq!(limits.admit(ip("192.0.2.1")).err(), Some(Refused::Address));
        let _other = limits.admit(ip("192.0.2.2")).expect("room for others");
        drop(second);
        let _again = limits.admit(ip("192.0.2.1")).expect("room again");
        assert_eq!(limits.open(), 3);
    }

    #[test]
    fn all_addresses_together_get_the_total_and_not_more() {
        let limits = ConnectionLimits::new(2, 10);
        let first = limits.admit(ip("192.0.2.1")).expect("room");
        let _second = limits.admit(ip("192.0.2.2")).expect("room");
        assert_eq!(limits.admit(ip("192.0.2.3")).err(), Some(Refused::Total));
        drop(first);
        assert!(limits.admit(ip("192.0.2.3")).is_ok());
    }

    #[test]
    fn a_refused_connection_takes_no_place() {
        let limits = ConnectionLimits::new(10, 1);
        let _only = limits.admit(ip("192.0.2.1")).expect("room");
        for _ in 0..100 {
            assert_eq!(limits.admit(ip("192.0.2.1")).err(), Some(Refused::Address));
        }
        assert_eq!(limits.open(), 1);
    }

    #[test]
    fn an_ipv6_client_is_its_first_64_bits() {
        let limits = ConnectionLimits::new(10, 1);
        let _first = limits.admit(ip("2001:db8:0:1::1")).expect("room");
        assert_eq!(limits.admit(ip("2001:db8:0:1:ffff::9")).err(), Some(Refused::Address));
        assert!(limits.admit(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn an_ipv4_client_seen_through_an_ipv6_socket_is_still_its_own_address() {
        let limits = ConnectionLimits::new(10, 1);
        let _first = limits.admit(ip("::ffff:192.0.2.1")).expect("room");
        assert_eq!(limits.admit(ip("192.0.2.1")).err(), Some(Refused::Address));
        assert!(limits.admit(ip("::ffff:192.0.2.2")).is_ok());
    }

    #[test]
    fn loopback_is_limited_like_any_other() {
        let limits = ConnectionLimits::new(10, 1);
        let _first = limits.admit(ip("127.0.0.1")).expect("room");
        assert_eq!(limits.admit(ip("127.0.0.1")).err(), Some(Refused::Address));
    }

    #[test]
    fn a_limit_of_zero_admits_nobody() {
        assert_eq!(ConnectionLimits::new(0, 1).admit(ip("192.0.2.1")).err(), Some(Refused::Total));
        assert_eq!(
            ConnectionLimits::new(1, 0).admit(ip("192.0.2.1")).err(),
            Some(Refused::Address)
        );
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_left() {
        let limits = ConnectionLimits::new(100_000, 10);
        let permits: Vec<_> =
            (0..50_000_u32).map(|n| limits.admit(IpAddr::V4(n.into())).expect("room")).collect();
        assert_eq!(entries(&limits), 50_000);
        drop(permits);
        assert_eq!((limits.open(), entries(&limits)), (0, 0));
        let room: usize = limits.shards.iter().map(|shard| shard.lock().capacity()).sum();
        assert!(room <= SHARDS * SMALL_TABLE, "room for {room} entries is still held");
    }

    #[test]
    fn counts_hold_when_threads_meet() {
        let limits = ConnectionLimits::new(1000, 7);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..5_000_u32 {
                        let permits: Vec<_> = (0..4)
                            .filter_map(|_| limits.admit(IpAddr::V4((n % 8).into())).ok())
                            .collect();
                        assert!(limits.open() <= 1000);
                        drop(permits);
                    }
                });
            }
        });
        assert_eq!((limits.open(), entries(&limits)), (0, 0));
    }
}
