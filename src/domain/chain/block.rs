//! Finalized blocks, as nodes answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

/// One event, decoded with the metadata that encoded it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainEvent {
    pub pallet: String,
    pub name: String,
    /// Named fields as an object, unnamed ones as an array; a unit variant is its name.
    pub fields: Value,
}

/// One finalized block, as a node answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub number: u64,
    pub hash: String,
    pub parent: String,
    /// `Timestamp.Now` at this block.
    pub time: Option<Timestamp>,
    /// The version of the state at this block (`Core_version`), which is the *next* block's runtime.
    pub spec_version: u32,
    pub transaction_version: u32,
    /// `System.LastRuntimeUpgrade.spec_version`: the runtime that has run. This is the proof.
    pub proven_version: Option<u32>,
    /// `System.AuthorizedUpgrade.code_hash`, or `ParachainSystem`'s where that is the older place
    pub authorized: Option<String>,
    /// A multi-block migration has a cursor.
    pub migrating: bool,
    /// The session, and the era of staking, where the chain has them.
    pub session: Option<u32>,
    pub era: Option<u32>,
    /// The slot of the block's author, where the consensus has slots.
    pub slot: Option<u64>,
    /// The relay's block a parachain's block was built on.
    pub relay_number: Option<u64>,
    /// Parachains of this relay whose new code goes ahead at a block, by id.
    pub upcoming: Vec<(u32, u64)>,
    /// Referenda confirmed in this block, and the block for which the scheduler has their calls.
    pub enactments: Vec<(u32, u64)>,
    pub events: Vec<ChainEvent>,
    /// Its events were not read: it is not known what happened in it.
    pub without_events: bool,
}

/// The chains a chain is kin to: a relay tells of its parachains, and they count its blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    /// Parachains of this relay by id.
    pub paras: BTreeMap<u32, String>,
    /// The relay of this parachain.
    pub relay: Option<String>,
}

impl Block {
    /// Referenda that passed in this block: their calls are with the scheduler from here on.
    pub fn passed(&self) -> Vec<u32> {
        let events = self.events.iter().filter(|e| {
            e.pallet == "Referenda" && matches!(e.name.as_str(), "Confirmed" | "Approved")
        });
        let mut passed: Vec<u32> = events.filter_map(|e| index(e, "index")).collect();
        passed.dedup();
        passed
    }

    /// The parachains of this relay of which it includes a block.
    pub fn included(&self) -> Vec<u32> {
        let included = self
            .events
            .iter()
            .filter(|e| e.pallet == "ParaInclusion" && e.name == "CandidateIncluded");
        included.filter_map(|e| index(e, "para_id")).collect()
    }

    /// Transactions (inherents left out) that were included and succeeded, and that failed.
    pub fn transactions(&self) -> (u32, u32) {
        let (mut succeeded, mut failed) = (0, 0);
        for event in self.events.iter().filter(|e| e.pallet == "System") {
            let info = event.fields.get("dispatch_info");
            if info.and_then(|i| i.get("class")).and_then(Value::as_str) == Some("Mandatory") {
                continue;
            }
            match event.name.as_str() {
                "ExtrinsicSuccess" => succeeded += 1,
                "ExtrinsicFailed" => failed += 1,
                _ => {}
            }
        }
        (succeeded, failed)
    }
}

/// Returns the number in a field of an event, such as the index of a referendum.
pub(super) fn index(event: &ChainEvent, field: &str) -> Option<u32> {
    u32::try_from(event.fields.get(field)?.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referenda_that_passed_are_named_once() {
        let event = |pallet: &str, name: &str, index: u64| ChainEvent {
            pallet: pallet.into(),
            name: name.into(),
            fields: serde_json::json!({ "index": index }),
        };
        let events = vec![
            event("Referenda", "Confirmed", 7),
            event("Referenda", "Approved", 7),
            event("Referenda", "Rejected", 8),
            event("Elsewhere", "Approved", 9),
            event("Referenda", "Approved", 10),
            event("Referenda", "Approved", u64::MAX),
        ];
        let block = Block {
            events,
            ..Block::default()
        };
        assert_eq!(block.passed(), [7, 10]);
    }
}
