//! The chat platforms and the readers of a channel, as files and commands name them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The two chat platforms; a rehearsal's rooms imitate one each.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Discord,
    Matrix,
}

impl Platform {
    pub fn name(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Matrix => "matrix",
        }
    }
}

/// Who reads a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Readers {
    /// Everybody.
    #[default]
    Public,
    /// Those who run herald and the upgrade.
    Operators,
}
