//! What has been used of usage plans, on disk.
//!
//! | Table | Key | Value |
//! |---|---|---|
//! | `days` | day, plan, key | requests that day; what was left of the quota after the last of them, or -1 |
//! | `quotas` | plan, key | period; its first day; what is left of it; the limit that counts from |
//! | `meta` | `format` | the version of this layout |
//!
//! A change is made by adding what was counted to what the file says, never by writing what this
//! process believes: while one process replaces another, both count, and both write. A
//! transaction is on disk when it ends, or not there at all.

use std::path::{Path, PathBuf};

use redb::backends::InMemoryBackend;
use redb::{Builder, ConcurrencyMode, Database, ReadableDatabase, ReadableTable, TableDefinition};
use tollgate_throttle::{Day, Left, Period, Quota};

use super::id::{ApiKeyId, Id, UsagePlanId};
use super::settings::PlanQuota;

/// Days that are kept: AWS reports as many
/// (<https://docs.aws.amazon.com/apigateway/latest/api/API_GetUsage.html>).
pub const DAYS_KEPT: u32 = 90;

const FORMAT: u64 = 1;
const FILE: &str = "usage.redb";
/// What the engine may keep in memory: a commit needs the pages it changes, a report some more.
const CACHE_BYTES: usize = 16 << 20;

type DayKey = (u32, u64, u64);
type QuotaKey = (u64, u64);

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const DAYS: TableDefinition<DayKey, (u64, i64)> = TableDefinition::new("days");
const QUOTAS: TableDefinition<QuotaKey, (u8, u32, u64, u64)> = TableDefinition::new("quotas");

/// The file, or memory in its place.
pub struct Ledger {
    database: Database,
}

/// Why the ledger can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("data_directory: {}: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: cannot be used: {reason}; it holds what API keys have used of their quotas, so it is \
         left as it is: restore it from a copy, or move it away to begin again",
        path.display()
    )]
    Unusable { path: PathBuf, reason: String },
    #[error(
        "{}: was written by a newer version of Tollgate (layout {found}, this one knows {FORMAT}); \
         use that version, or move the file away to begin again",
        path.display()
    )]
    Newer { path: PathBuf, found: u64 },
    #[error("usage ledger: {0}")]
    Engine(Box<redb::Error>),
}

macro_rules! of_engine {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for LedgerError {
            fn from(error: redb::$error) -> Self {
                Self::Engine(Box::new(error.into()))
            }
        }
    )*};
}

of_engine!(DatabaseError, TransactionError, TableError, StorageError, CommitError);

/// A key in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscriber {
    pub plan: UsagePlanId,
    pub key: ApiKeyId,
}

/// What a key used on a day, and what was left of its quota then; none without a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayOfUse {
    pub used: u64,
    pub remaining: Option<u64>,
}

/// Requests that were counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub subscriber: Subscriber,
    pub requests: u64,
    pub quota: Option<Quota>,
}

/// A quota's state in the file.
struct Record {
    period: Period,
    left: Left,
    limit: u64,
}

impl Ledger {
    /// Opens the ledger in a directory, which is made if it isn't there. Without one it is kept in
    /// memory.
    ///
    /// # Errors
    /// The file can't be read or written, is broken, or is of a newer version. It is never
    /// started anew by itself.
    pub fn open(directory: Option<&Path>) -> Result<Self, LedgerError> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        let Some(directory) = directory else {
            let database = builder.create_with_backend(InMemoryBackend::new())?;
            let ledger = Self { database };
            ledger.initialize(Path::new("memory"))?;
            return Ok(ledger);
        };
        make_directory(directory)
            .map_err(|source| LedgerError::Directory { path: directory.to_owned(), source })?;
        let path = directory.join(FILE);
        // Two processes have it open while one replaces the other.
        builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
        // Every page is looked at: a broken one would be found only when it is needed, else.
        builder.set_check_integrity_on_open(true);
        let unusable = |error: redb::DatabaseError| LedgerError::Unusable {
            path: path.clone(),
            reason: error.to_string(),
        };
        let database = builder.create(&path).map_err(unusable)?;
        let ledger = Self { database };
        ledger.initialize(&path)?;
        Ok(ledger)
    }

    fn initialize(&self, path: &Path) -> Result<(), LedgerError> {
        let transaction = self.database.begin_write()?;
        let found = {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get("format")?.map(|format| format.value());
            if found.is_none() {
                meta.insert("format", FORMAT)?;
            }
            found
        };
        match found {
            None => {
                transaction.open_table(DAYS)?;
                transaction.open_table(QUOTAS)?;
                Ok(transaction.commit()?)
            }
            Some(FORMAT) => Ok(transaction.abort()?),
            Some(found) => Err(LedgerError::Newer { path: path.to_owned(), found }),
        }
    }

    /// Adds what was counted on a day. Gives what is left of each one's quota then. All or nothing.
    pub fn add(&self, counted: &[Counted], today: Day) -> Result<Vec<Option<Left>>, LedgerError> {
        let transaction = self.database.begin_write()?;
        let mut left = Vec::with_capacity(counted.len());
        {
            let mut days = transaction.open_table(DAYS)?;
            let mut quotas = transaction.open_table(QUOTAS)?;
            for Counted { subscriber, requests, quota } in counted {
                let after = match quota {
                    Some(quota) => {
                        let known = read(&quotas, *subscriber)?;
                        let before = known.map_or(UNTOUCHED, |known| known.under(*quota));
                        let before = quota.left(before, today);
                        let remaining = before.remaining.saturating_sub(*requests);
                        let after = Left { remaining, ..before };
                        quotas.insert(subscriber.key(), row(*quota, after))?;
                        Some(after)
                    }
                    None => None,
                };
                if *requests > 0 {
                    let key = (today.0, subscriber.plan.number(), subscriber.key.number());
                    let used = days.get(key)?.map_or(0, |day| day.value().0);
                    let remaining = after.map_or(-1, |after| after.remaining as i64);
                    days.insert(key, (used + requests, remaining))?;
                }
                left.push(after);
            }
        }
        transaction.commit()?;
        Ok(left)
    }

    /// What is left for subscribers of a plan with a quota. One the file doesn't know starts with
    /// the plan's offset; a limit that has changed since counts from now on, and when the period
    /// has, what the days say is what was used of the new one.
    pub fn resume(
        &self,
        subscribers: &[(Subscriber, PlanQuota)],
        today: Day,
    ) -> Result<Vec<Left>, LedgerError> {
        let transaction = self.database.begin_write()?;
        let mut changed = false;
        let mut resumed = Vec::with_capacity(subscribers.len());
        {
            let days = transaction.open_table(DAYS)?;
            let mut quotas = transaction.open_table(QUOTAS)?;
            for (subscriber, PlanQuota { quota, offset }) in subscribers {
                let known = read(&quotas, *subscriber)?;
                let left = match &known {
                    None if *offset == 0 => UNTOUCHED,
                    None => Left {
                        first_day: quota.period.first_day(today),
                        remaining: quota.limit - offset,
                    },
                    Some(known) if known.period == quota.period => known.under(*quota),
                    Some(_) => {
                        let first_day = quota.period.first_day(today);
                        let used = used_since(&days, *subscriber, first_day, today)?;
                        Left { first_day, remaining: quota.limit.saturating_sub(used) }
                    }
                };
                let is_known = known.is_some_and(|known| {
                    known.period == quota.period && known.limit == quota.limit
                });
                if left != UNTOUCHED && !is_known {
                    quotas.insert(subscriber.key(), row(*quota, left))?;
                    changed = true;
                }
                resumed.push(left);
            }
        }
        match changed {
            true => transaction.commit()?,
            false => transaction.abort()?,
        }
        Ok(resumed)
    }

    /// Says what is left of a subscriber's quota from now on.
    pub fn set(&self, subscriber: Subscriber, quota: Quota, left: Left) -> Result<(), LedgerError> {
        let transaction = self.database.begin_write()?;
        {
            let mut quotas = transaction.open_table(QUOTAS)?;
            quotas.insert(subscriber.key(), row(quota, left))?;
        }
        Ok(transaction.commit()?)
    }

    /// What a subscriber used on the days from one to another, in order. Days without requests
    /// are not among them.
    pub fn days(
        &self,
        subscriber: Subscriber,
        from: Day,
        to: Day,
    ) -> Result<Vec<(Day, DayOfUse)>, LedgerError> {
        let transaction = self.database.begin_read()?;
        let days = transaction.open_table(DAYS)?;
        let mut found = Vec::new();
        for day in from.0..=to.0 {
            let key = (day, subscriber.plan.number(), subscriber.key.number());
            if let Some(value) = days.get(key)? {
                let (used, remaining) = value.value();
                found.push((Day(day), DayOfUse { used, remaining: u64::try_from(remaining).ok() }));
            }
        }
        Ok(found)
    }

    /// Forgets up to `most` days of use that are older than [`DAYS_KEPT`]. Gives how many.
    pub fn prune(&self, today: Day, most: usize) -> Result<usize, LedgerError> {
        let end = (today.0.saturating_sub(DAYS_KEPT), 0, 0);
        let transaction = self.database.begin_write()?;
        let pruned = {
            let mut days = transaction.open_table(DAYS)?;
            let old: Vec<DayKey> = days
                .range(..end)?
                .take(most)
                .map(|entry| entry.map(|(key, _)| key.value()))
                .collect::<Result<_, _>>()?;
            for key in &old {
                days.remove(key)?;
            }
            old.len()
        };
        match pruned {
            0 => transaction.abort()?,
            _ => transaction.commit()?,
        }
        Ok(pruned)
    }

    /// Forgets the quotas of those who are no subscribers any more and whose period ended before
    /// the days that are kept.
    pub fn forget_quotas(
        &self,
        today: Day,
        is_known: impl Fn(Subscriber) -> bool,
    ) -> Result<(), LedgerError> {
        let transaction = self.database.begin_write()?;
        {
            let mut quotas = transaction.open_table(QUOTAS)?;
            let end = today.0.saturating_sub(DAYS_KEPT);
            quotas.retain(|(plan, key), (_, first_day, ..)| {
                let subscriber = Subscriber { plan: Id::of_number(plan), key: Id::of_number(key) };
                first_day >= end || is_known(subscriber)
            })?;
        }
        Ok(transaction.commit()?)
    }
}

/// What nobody has taken anything of.
pub const UNTOUCHED: Left = Left { first_day: Day(0), remaining: 0 };

impl Subscriber {
    fn key(self) -> QuotaKey {
        (self.plan.number(), self.key.number())
    }
}

impl Record {
    /// What is left if the limit is another one than it was.
    fn under(&self, quota: Quota) -> Left {
        let remaining = (self.left.remaining + quota.limit).saturating_sub(self.limit);
        Left { remaining, ..self.left }
    }
}

fn row(quota: Quota, left: Left) -> (u8, u32, u64, u64) {
    let period = match quota.period {
        Period::Day => 0,
        Period::Week => 1,
        Period::Month => 2,
    };
    (period, left.first_day.0, left.remaining, quota.limit)
}

fn read(
    quotas: &impl ReadableTable<QuotaKey, (u8, u32, u64, u64)>,
    subscriber: Subscriber,
) -> Result<Option<Record>, LedgerError> {
    let Some(found) = quotas.get(subscriber.key())? else { return Ok(None) };
    let (period, first_day, remaining, limit) = found.value();
    let period = match period {
        0 => Period::Day,
        1 => Period::Week,
        _ => Period::Month,
    };
    Ok(Some(Record { period, left: Left { first_day: Day(first_day), remaining }, limit }))
}

fn used_since(
    days: &impl ReadableTable<DayKey, (u64, i64)>,
    subscriber: Subscriber,
    from: Day,
    to: Day,
) -> Result<u64, LedgerError> {
    let mut used = 0;
    for day in from.0..=to.0 {
        let key = (day, subscriber.plan.number(), subscriber.key.number());
        used += days.get(key)?.map_or(0, |day| day.value().0);
    }
    Ok(used)
}

/// Nobody else may read it: it holds who uses what.
fn make_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests;
