//! Who may call how often: API keys, usage plans, and the limits of stages and of the account.
//!
//! ```text
//!  Routes ── UsageSettings (plans, keys), StageThrottles ──▶ Registry ──▶ Snapshot
//!                                                              │           ├ Subscribers: key value ▶ Subscription
//!  requests take from buckets and quotas ──────────────────────┘           └ StageLimits: a stage's own
//!  every half second: what was counted ──▶ Ledger (a file)
//! ```
//!
//! What a snapshot holds is rules. The buckets and counters they are applied to belong to the
//! [`Registry`], which outlives snapshots: loading a definition again gives nobody a full bucket
//! or a fresh quota. The phases that ask are [`crate::phases::api_key`] and
//! [`crate::phases::throttle`].
//!
//! AWS: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html>

pub mod id;
pub mod settings;
mod pages;
mod subscription;
mod value_hash;
mod subscribers;
mod limits;
mod dirty;
mod ledger;
mod owners;
mod registry;
mod writer;
mod report;
#[doc(hidden)]
pub mod benching;
pub(crate) mod control;

pub use id::{ApiKeyId, UsagePlanId};
pub use ledger::{DAYS_KEPT, DayOfUse, LedgerError};
pub use report::{DEFAULT_PAGE, MAX_PAGE, ReportError, UsageQuery, UsageReport};
pub use settings::{
    ApiKey, ApiKeyValue, ApiStage, InvalidApiKey, InvalidUsage, MethodThrottle, PlanQuota,
    StageThrottles, Throttle, UsagePlan, UsageSettings,
};

pub(crate) use limits::{Applicant, StageLimits, Throttled};
pub(crate) use registry::{Linked, Registry};
pub(crate) use subscribers::{ApiKeyPlace, BadKey};
pub(crate) use writer::Writer;
