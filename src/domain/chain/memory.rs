//! What is remembered of a chain between two blocks.

use std::collections::BTreeMap;

use blake2::{Blake2b, Digest, digest::consts::U32};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    block::Block,
    block_times::{Pace, Stretch},
    hours::Hours,
    observation::Matter,
    parachains::ParachainHistory,
};
use crate::domain::hex;

/// A chain as it is remembered between two blocks, and over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub genesis: String,
    pub number: u64,
    pub hash: String,
    pub time: Option<Timestamp>,
    /// The version proven to run.
    pub running: u32,
    /// The transaction version of the runtime that has run, as `running` is.
    pub transaction_version: u32,
    pub authorized: Option<String>,
    #[serde(default)]
    pub pace: Pace,
    #[serde(default, skip_serializing_if = "Hours::is_empty")]
    pub hours: Hours,
    /// The trouble with the chain, as told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matter: Option<Matter>,
    /// A parachain's new code was stored and waits for the relay's go-ahead. Events tell of it, since
    /// the entry in the state is the code itself; what a gap hides is in the relay's `upcoming`.
    #[serde(default)]
    pub pending_code: bool,
    /// The blocks of this relay at which the new code of parachains we know goes ahead.
    #[serde(default)]
    pub upcoming: Vec<(u32, u64)>,
    /// Referenda whose call is still to be dispatched, and at which block.
    #[serde(default)]
    pub enactments: BTreeMap<u32, u64>,
    /// How often this relay includes blocks of its parachains.
    #[serde(default, skip_serializing_if = "ParachainHistory::is_empty")]
    pub parachains: ParachainHistory,
}

impl Memory {
    /// The first sight of a chain: nothing is known to have happened yet.
    pub fn first(genesis: String, block: &Block) -> Self {
        Self {
            genesis,
            number: block.number,
            hash: block.hash.clone(),
            time: block.time,
            running: block.proven_version.unwrap_or(block.spec_version),
            transaction_version: block.transaction_version,
            authorized: None,
            pace: Pace::default().and(block),
            hours: Hours::default(),
            matter: None,
            pending_code: false,
            upcoming: Vec::new(),
            enactments: BTreeMap::new(),
            parachains: ParachainHistory::default(),
        }
    }

    /// The hours that were seen, or else the last blocks.
    pub fn stretch(&self) -> Stretch {
        let hours = self.hours.stretch();
        if hours.blocks > 0 {
            hours
        } else {
            self.pace.stretch()
        }
    }

    /// The referendum whose call the scheduler has under this name.
    pub(super) fn enacts(&self, name: &str) -> Option<u32> {
        self.enactments
            .keys()
            .copied()
            .find(|r| hex::encode(&enactment_name(*r)) == name)
    }
}

/// The name under which the scheduler has the call of a referendum that passed.
pub fn enactment_name(referendum: u32) -> [u8; 32] {
    // SCALE of (b"assembly", "enactment", index): the text has its length before it, four times as much.
    let hash = Blake2b::<U32>::new()
        .chain_update(b"assembly")
        .chain_update([9 << 2])
        .chain_update(b"enactment");
    hash.chain_update(referendum.to_le_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_sight_knows_the_version_that_is_proven_or_else_the_states() {
        let first = |proven_version| {
            let block = Block {
                number: 7,
                spec_version: 3,
                proven_version,
                ..Block::default()
            };
            let memory = Memory::first("0x00".into(), &block);
            (memory.number, memory.running)
        };
        assert_eq!((first(Some(2)), first(None)), ((7, 2), (7, 3)));
    }
}
