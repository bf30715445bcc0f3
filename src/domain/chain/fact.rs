//! Facts: what finalized blocks showed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{block::Block, block_times::Estimate, fact_kind::FactKind, payload::Payload};

/// A block at which something is to take effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The chain whose blocks are counted: a parachain's code goes ahead at a block of its relay.
    pub chain: String,
    pub block: u64,
    /// The block's time, if enough blocks were seen to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// One thing a finalized block showed. `time` is the block's own clock, never ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "FactRecord", into = "FactRecord")]
pub struct Fact {
    pub payload: Payload,
    pub chain: String,
    pub block: u64,
    pub hash: String,
    /// The version the chain runs after this fact; 0 where another chain tells of it, which does not know.
    pub spec_version: u32,
    pub time: Option<Timestamp>,
    /// The chain whose block showed it, where that is another: a relay tells of its parachains.
    pub on: Option<String>,
    pub expected: Option<Expected>,
    /// Found while catching up: the fact is long over.
    pub late: bool,
}

impl Fact {
    /// Makes the fact that a block shows, of a chain that runs `spec_version` after it.
    pub fn of(block: &Block, payload: Payload, chain: &str, spec_version: u32) -> Self {
        Self {
            payload,
            chain: chain.to_owned(),
            block: block.number,
            hash: block.hash.clone(),
            spec_version,
            time: block.time,
            on: None,
            expected: None,
            late: false,
        }
    }

    pub fn kind(&self) -> FactKind {
        self.payload.kind()
    }

    /// The payload in words, as people and the store have it: empty where there is nothing to add.
    pub fn detail(&self) -> String {
        self.payload.to_string()
    }

    /// The chain runs a lower version than before.
    pub fn is_downgrade(&self) -> bool {
        self.downgraded_from().is_some()
    }

    /// The version that a chain ran before it went back to a lower one.
    pub fn downgraded_from(&self) -> Option<u32> {
        match self.payload {
            Payload::Applied { from } => from.filter(|before| *before > self.spec_version),
            _ => None,
        }
    }
}

/// A fact as JSON has it, in the store and for readers: kind and detail are two fields of text.
#[derive(Serialize, Deserialize)]
struct FactRecord {
    kind: FactKind,
    chain: String,
    block: u64,
    hash: String,
    spec_version: u32,
    time: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<Expected>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

impl From<Fact> for FactRecord {
    fn from(fact: Fact) -> Self {
        Self {
            kind: fact.kind(),
            detail: fact.detail(),
            chain: fact.chain,
            block: fact.block,
            hash: fact.hash,
            spec_version: fact.spec_version,
            time: fact.time,
            on: fact.on,
            expected: fact.expected,
            late: fact.late,
        }
    }
}

impl From<FactRecord> for Fact {
    fn from(record: FactRecord) -> Self {
        Self {
            payload: Payload::read(record.kind, &record.detail),
            chain: record.chain,
            block: record.block,
            hash: record.hash,
            spec_version: record.spec_version,
            time: record.time,
            on: record.on,
            expected: record.expected,
            late: record.late,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn a_facts_json_is_what_it_was_when_its_detail_was_text() {
        let stored = [
            r#"{"kind":"applied","chain":"paseo","block":4,"hash":"0x04","spec_version":2,"time":null,"detail":"from 1"}"#,
            r#"{"kind":"code_stored","chain":"people","block":4,"hash":"0x04","spec_version":2,"time":"2026-12-10T13:00:00Z","late":true}"#,
            r#"{"kind":"go_ahead","chain":"people","block":4,"hash":"0x04","spec_version":0,"time":null,"on":"paseo","expected":{"chain":"paseo","block":9}}"#,
            r#"{"kind":"referendum","chain":"hub","block":4,"hash":"0x04","spec_version":2,"time":null,"detail":"7 confirm aborted"}"#,
            // The text of an older herald, in a form that is made no more.
            r#"{"kind":"reset","chain":"paseo","block":4,"hash":"0x04","spec_version":2,"time":null,"detail":"genesis was 0x00"}"#,
        ];
        for text in stored {
            let fact: Fact = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&fact).unwrap(), text);
        }
    }

    #[test]
    fn a_kind_has_one_name_in_json_and_in_words() {
        for kind in FactKind::iter() {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn a_downgrade_is_a_version_below_the_one_before() {
        let fact =
            |payload, spec_version| Fact::of(&Block::default(), payload, "paseo", spec_version);
        let applied = |from, to| fact(Payload::Applied { from }, to);
        let rows = [
            (applied(Some(3), 2), Some(3)),
            (applied(Some(2), 2), None),
            (applied(Some(1), 2), None),
            (applied(None, 2), None),
            (
                fact(Payload::TransactionVersion { from: 3, to: 2 }, 2),
                None,
            ),
        ];
        for (fact, before) in rows {
            assert_eq!(fact.downgraded_from(), before, "{fact:?}");
            assert_eq!(fact.is_downgrade(), before.is_some());
        }
    }

    #[test]
    fn some_kinds_are_of_governance_and_some_take_a_campaign() {
        let named = |is: fn(FactKind) -> bool| {
            let kinds = FactKind::iter().filter(|kind| is(*kind));
            kinds.map(FactKind::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            named(FactKind::is_of_governance),
            "referendum scheduled dispatched"
        );
        assert_eq!(
            named(FactKind::takes_campaign),
            "version_unexpected unapplied overdue migration_stuck changes_pending parachains_stopped parachains_recovered unverified"
        );
    }
}
