//! Changes that were scheduled when an upgrade was applied, and that take effect later.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What was still to come when an upgrade was applied, whoever had scheduled it. What has taken effect since is taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChanges {
    /// When sessions begin, where the chain's consensus tells.
    pub sessions: Option<SessionClock>,
    /// When the next era is to begin.
    pub next_era: Option<Timestamp>,
    /// Configurations of a relay, the next one first.
    pub configurations: Vec<PendingConfiguration>,
    /// The blocks for which the scheduler has calls that it did not have before the upgrade.
    pub calls: Vec<u64>,
}

/// The sessions of a chain by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClock {
    pub current: u32,
    /// The time at which the next session is to begin.
    pub next: Timestamp,
    /// The length of a session, in seconds.
    pub length: i64,
}

/// A relay's configuration from a session on, as far as it differs from the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingConfiguration {
    pub session: u32,
    pub changes: Vec<ConfigurationChange>,
}

/// One value of a configuration that becomes another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigurationChange {
    Value {
        name: String,
        from: String,
        to: String,
    },
    /// A feature of nodes, by its number.
    NodeFeature { number: usize, on: bool },
}

/// The value of a configuration that has a bit for each feature of nodes.
const NODE_FEATURES: &str = "node_features";
/// The value of what is not there, as an option without a value has it.
const NOTHING: &str = "None";

impl PendingChanges {
    /// Nothing is known to follow.
    pub fn is_empty(&self) -> bool {
        self.configurations.is_empty() && self.calls.is_empty()
    }

    /// Takes out what has taken effect by a block.
    pub fn pass(&mut self, block: u64, session: Option<u32>) {
        self.configurations
            .retain(|configuration| session.is_none_or(|now| now < configuration.session));
        self.calls.retain(|call| *call > block);
    }
}

/// The changes as one line of text, for the log and for readers of facts.
impl fmt::Display for PendingChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configurations = self.configurations.iter().map(|configuration| {
            let changes: Vec<String> = configuration
                .changes
                .iter()
                .map(|c| c.to_string())
                .collect();
            format!("session {}: {}", configuration.session, changes.join(", "))
        });
        let calls = self
            .calls
            .iter()
            .map(|block| format!("block {block}: a new scheduled call"));
        let all: Vec<String> = configurations.chain(calls).collect();
        f.write_str(&all.join("; "))
    }
}

impl SessionClock {
    /// The time at which a session is to begin; nothing for one that has begun.
    pub fn begins(&self, session: u32) -> Option<Timestamp> {
        let sessions = session.checked_sub(self.current)?.checked_sub(1)?;
        let length = SignedDuration::from_secs(self.length);
        self.next
            .checked_add(length * i32::try_from(sessions).ok()?)
            .ok()
    }
}

impl ConfigurationChange {
    /// The values that differ between two configurations. Values inside others are named by their path.
    pub fn between(before: &Value, after: &Value) -> Vec<Self> {
        let (before, after) = (flat(before), flat(after));
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let value = |values: &BTreeMap<String, String>, name: &str| {
            values
                .get(name)
                .cloned()
                .unwrap_or_else(|| NOTHING.to_owned())
        };
        names
            .into_iter()
            .map(|name| (name, value(&before, name), value(&after, name)))
            .filter(|(_, from, to)| from != to)
            .flat_map(|(name, from, to)| {
                if name == NODE_FEATURES {
                    return features(&from, &to);
                }
                let name = name.clone();
                vec![Self::Value { name, from, to }]
            })
            .collect()
    }
}

impl fmt::Display for ConfigurationChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { name, from, to } => write!(f, "{name} from {from} to {to}"),
            Self::NodeFeature { number, on } => {
                write!(
                    f,
                    "node feature {number} {}",
                    if *on { "on" } else { "off" }
                )
            }
        }
    }
}

/// The features that differ, of two rows of bits; a bit that is missing is off.
fn features(from: &str, to: &str) -> Vec<ConfigurationChange> {
    let bit = |bits: &str, number: usize| bits.as_bytes().get(number) == Some(&b'1');
    (0..from.len().max(to.len()))
        .filter(|number| bit(from, *number) != bit(to, *number))
        .map(|number| ConfigurationChange::NodeFeature {
            number,
            on: bit(to, number),
        })
        .collect()
}

/// The values of a configuration by their names; those of an inner one by `outer.inner`.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    collect("", value, &mut values);
    values
}

fn collect(name: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !is_variant(fields) => {
            for (key, field) in fields {
                let path = if name.is_empty() {
                    key.clone()
                } else {
                    format!("{name}.{key}")
                };
                collect(&path, field, values);
            }
        }
        other => {
            values.insert(name.to_owned(), text(other));
        }
    }
}

/// A value of an enum has its variant's name as the only key, which begins with a capital.
fn is_variant(fields: &Map<String, Value>) -> bool {
    let capital = |key: &String| key.starts_with(|c: char| c.is_ascii_uppercase());
    fields.len() == 1 && fields.keys().all(capital)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.get("Some").map_or_else(|| other.to_string(), text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_follows_where_neither_a_configuration_nor_a_call_does() {
        let call = PendingChanges {
            calls: vec![7],
            ..PendingChanges::default()
        };
        let configuration = PendingChanges {
            configurations: vec![PendingConfiguration {
                session: 8,
                changes: Vec::new(),
            }],
            ..PendingChanges::default()
        };
        let empty = [PendingChanges::default(), call, configuration].map(|p| p.is_empty());
        assert_eq!(empty, [true, false, false]);
    }

    #[test]
    fn configurations_differ_by_values_and_by_bits() {
        let before = json!({
            "max_code_size": 3_145_728,
            "scheduler_params": { "num_cores": 66, "lookahead": 3 },
            "approval_voting_params": { "max_approval_coalesce_count": 1 },
            "node_features": "0101",
            "old": 1,
            "limit": "None",
        });
        let after = json!({
            "max_code_size": 3_145_728,
            "scheduler_params": { "num_cores": 70, "lookahead": 3 },
            "approval_voting_params": { "max_approval_coalesce_count": 6 },
            "node_features": "00010001",
            "pvf": "Keep",
            "limit": { "Some": 5 },
        });
        let changes = ConfigurationChange::between(&before, &after);
        let told: Vec<String> = changes.iter().map(|change| change.to_string()).collect();
        let expected = [
            "approval_voting_params.max_approval_coalesce_count from 1 to 6",
            "limit from None to 5",
            "node feature 1 off",
            "node feature 7 on",
            "old from 1 to None",
            "pvf from None to Keep",
            "scheduler_params.num_cores from 66 to 70",
        ];
        assert_eq!(told, expected);
        assert_eq!(ConfigurationChange::between(&before, &before), []);
    }

    #[test]
    fn what_has_taken_effect_is_taken_out() {
        let at = |session| PendingConfiguration {
            session,
            changes: Vec::new(),
        };
        let all = || PendingChanges {
            configurations: vec![at(8), at(9)],
            calls: vec![100, 120],
            ..PendingChanges::default()
        };
        // The block, the session it is of, and what is left.
        let rows = [
            (99, Some(7), 2, 2),
            (100, Some(7), 2, 1),
            (120, Some(8), 1, 0),
            (99, Some(9), 0, 2),
            (99, None, 2, 2),
        ];
        for (block, session, configurations, calls) in rows {
            let mut pending = all();
            pending.pass(block, session);
            let left = (pending.configurations.len(), pending.calls.len());
            assert_eq!(left, (configurations, calls), "{block} {session:?}");
            assert_eq!(pending.is_empty(), left == (0, 0));
        }
    }

    #[test]
    fn a_session_begins_by_the_clock() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let clock = SessionClock {
            current: 7,
            next: second(1000),
            length: 3600,
        };
        let begins = [6, 7, 8, 9, 11].map(|session| clock.begins(session));
        let expected = [
            None,
            None,
            Some(second(1000)),
            Some(second(4600)),
            Some(second(11800)),
        ];
        assert_eq!(begins, expected);
    }
}
