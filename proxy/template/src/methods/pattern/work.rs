//! The work of searching, in about nanoseconds.

use crate::limits::{Budget, LimitExceeded};

/// Work that is charged as one step.
const WORK_OF_STEP: usize = 100;

/// Work not charged yet: less than a step's.
#[derive(Default)]
pub(super) struct Work(usize);

impl Work {
    pub(super) fn spend(&mut self, work: usize, budget: &mut Budget) -> Result<(), LimitExceeded> {
        let sum = self.0.saturating_add(work);
        self.0 = sum % WORK_OF_STEP;
        match sum / WORK_OF_STEP {
            0 => Ok(()),
            steps => budget.steps(steps as u64),
        }
    }
}
