//! How far a chain, and an upgrade, have come.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// How far one chain of an upgrade has come.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Stage {
    #[default]
    Waiting,
    Authorized,
    Applying,
    Applied,
    Verified,
    Completed,
}

/// How far an upgrade has come, from the stages of its chains.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum State {
    Scheduled,
    Authorized,
    Applying,
    Applied,
    Verified,
    Completed,
}

impl Stage {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl State {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn a_stage_and_a_state_are_called_as_they_are_stored() {
        for stage in Stage::iter() {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.name());
        }
        for state in State::iter() {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
