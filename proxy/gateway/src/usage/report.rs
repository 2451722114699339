//! What keys have used of a plan, day by day, and granting them more: AWS's GetUsage and
//! UpdateUsage
//! (<https://docs.aws.amazon.com/apigateway/latest/api/API_GetUsage.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_UpdateUsage.html>).

use tollgate_throttle::{Day, Left, Quota};

use super::id::{ApiKeyId, UsagePlanId};
use super::ledger::{DAYS_KEPT, DayOfUse, LedgerError, Subscriber};
use super::registry::{Registry, today};

/// Keys in a report: AWS's default, and its maximum.
pub const DEFAULT_PAGE: usize = 25;
pub const MAX_PAGE: usize = 500;

/// What to report.
#[derive(Clone, Copy, Debug)]
pub struct UsageQuery {
    pub plan: UsagePlanId,
    pub from: Day,
    /// Not before `from`, and up to [`DAYS_KEPT`] days in all.
    pub to: Day,
    /// Only this key.
    pub key: Option<ApiKeyId>,
    /// The keys after this one.
    pub position: Option<ApiKeyId>,
    /// Keys, up to [`MAX_PAGE`].
    pub limit: usize,
}

/// Keys with an entry for each day from the first asked for to the last, or to today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReport {
    pub keys: Vec<(ApiKeyId, Vec<DayOfUse>)>,
    /// There are keys after this one.
    pub position: Option<ApiKeyId>,
}

/// Why there is no report, or nothing is granted.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("Invalid Usage Plan ID specified")]
    UnknownPlan,
    #[error("Invalid API Key identifier specified")]
    UnknownKey,
    #[error("Usage plan has no quota")]
    NoQuota,
    #[error("Invalid date range: endDate is before startDate")]
    Backwards,
    #[error("Invalid date range: more than {DAYS_KEPT} days")]
    TooLong,
    #[error("Invalid remaining: allowed: a whole number from 0 to {}", Quota::MAX_LIMIT)]
    Remaining,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Registry {
    /// What the keys of a plan have used. Reads the ledger: not for the path of requests.
    pub fn usage(&self, query: UsageQuery) -> Result<UsageReport, ReportError> {
        let quota = self.plan(query.plan).ok_or(ReportError::UnknownPlan)?;
        let quota = quota.map(|it| it.quota);
        if query.to < query.from {
            return Err(ReportError::Backwards);
        }
        if query.to.0 - query.from.0 >= DAYS_KEPT {
            return Err(ReportError::TooLong);
        }
        let mut keys = match query.key {
            Some(key) => vec![key],
            None => self.keys_of(query.plan),
        };
        keys.retain(|key| query.position.is_none_or(|position| *key > position));
        let is_more = keys.len() > query.limit;
        keys.truncate(query.limit.clamp(1, MAX_PAGE));
        self.flush()?;
        let mut reported = Vec::with_capacity(keys.len());
        for key in &keys {
            let subscriber = Subscriber { plan: query.plan, key: *key };
            let left = self.last_left(subscriber).ok_or(ReportError::UnknownKey)?;
            reported.push((*key, self.days_of(subscriber, left, quota, query)?));
        }
        Ok(UsageReport { keys: reported, position: keys.last().copied().filter(|_| is_more) })
    }

    /// Lets a key make `remaining` more requests until its period ends.
    pub fn grant(
        &self,
        plan: UsagePlanId,
        key: ApiKeyId,
        remaining: u64,
    ) -> Result<UsageReport, ReportError> {
        let quota = self.plan(plan).ok_or(ReportError::UnknownPlan)?;
        let subscriber = Subscriber { plan, key };
        self.last_left(subscriber).ok_or(ReportError::UnknownKey)?;
        let quota = quota.ok_or(ReportError::NoQuota)?.quota;
        if remaining > Quota::MAX_LIMIT {
            return Err(ReportError::Remaining);
        }
        if !self.set_remaining(subscriber, quota, remaining)? {
            return Err(ReportError::UnknownKey);
        }
        let today = today();
        self.usage(UsageQuery {
            plan,
            from: today,
            to: today,
            key: Some(key),
            position: None,
            limit: 1,
        })
    }

    fn days_of(
        &self,
        subscriber: Subscriber,
        now: Left,
        quota: Option<Quota>,
        query: UsageQuery,
    ) -> Result<Vec<DayOfUse>, LedgerError> {
        let today = today();
        // What was left on a day without requests is what was left before it in its period.
        let since = quota.map_or(query.from, |quota| quota.period.first_day(query.from));
        let mut known = self.ledger().days(subscriber, since, query.to)?.into_iter().peekable();
        let mut last = None;
        let mut days = Vec::new();
        for day in (since.0..=query.to.0.min(today.0)).map(Day) {
            let used = known.next_if(|(known, _)| *known == day).map(|(_, used)| used);
            let carried = quota.map(|quota| match last {
                Some((before, left)) if before >= quota.period.first_day(day) => left,
                _ => quota.limit,
            });
            let mut of_day = used.unwrap_or(DayOfUse { used: 0, remaining: carried });
            if let Some(quota) = quota
                && day == today
            {
                // As it is now: more may have been granted.
                of_day.remaining = Some(quota.left(now, today).remaining);
            }
            last = of_day.remaining.map(|left| (day, left)).or(last);
            if day >= query.from {
                days.push(of_day);
            }
        }
        Ok(days)
    }
}
