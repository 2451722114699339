//! The throttle and the API keys of `tollgate dev --throttle --api-key`: one usage plan without
//! limits has the keys and all stages.

use std::collections::BTreeSet;

use tollgate_gateway::usage::{
    ApiKey, ApiKeyValue, ApiStage, InvalidUsage, StageThrottles, Throttle, UsagePlan, UsagePlanId,
    UsageSettings,
};

use crate::cli::DevArgs;
use crate::config::usage::generated_key_id;
use crate::definitions::Definition;

/// What the command line says.
#[derive(Default)]
pub struct Limits {
    throttle: Option<Throttle>,
    account: Option<Throttle>,
    api_keys: BTreeSet<ApiKeyValue>,
}

impl Limits {
    pub fn new(args: &DevArgs) -> Self {
        Self {
            throttle: args.throttle,
            account: args.account_throttle,
            api_keys: args.api_keys.iter().cloned().collect(),
        }
    }

    pub fn usage(&self, definitions: &[Definition]) -> Result<UsageSettings, InvalidUsage> {
        let plan = UsagePlanId::of_hash(0);
        let stages = definitions.iter().map(|definition| ApiStage {
            api_id: definition.api_id().clone(),
            stage: definition.stage_name().to_owned(),
            methods: Vec::new(),
        });
        let plan_of_all = UsagePlan {
            id: plan,
            name: "dev".to_owned(),
            description: None,
            product_code: None,
            throttle: None,
            quota: None,
            stages: stages.collect(),
        };
        let keys = self.api_keys.iter().map(|value| ApiKey {
            id: generated_key_id(value),
            value: value.clone(),
            enabled: true,
            plans: [plan].into_iter().collect(),
        });
        UsageSettings::new(
            self.account.unwrap_or_else(Throttle::of_account),
            vec![plan_of_all],
            keys.collect(),
        )
    }

    pub fn of_stage(&self) -> StageThrottles {
        StageThrottles { default: self.throttle, methods: Vec::new() }
    }

    /// What is wrong with a definition whose methods want keys where there are none.
    pub fn warning(&self, definition: &Definition) -> Option<String> {
        let wants = definition.methods_with_api_key().count();
        (wants > 0 && self.api_keys.is_empty()).then(|| {
            format!(
                "warning: {}: methods that want an API key answer 403 (--api-key gives one)",
                definition.file.display()
            )
        })
    }
}
