//! Reading a finalized block: from what the chain answered to facts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    fact::{Fact, FactKind},
    observation::Matter,
    pace::Pace,
};

/// One event, decoded with the metadata that encoded it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainEvent {
    pub pallet: String,
    pub name: String,
    /// Named fields as an object, unnamed ones as an array; a unit variant is its name.
    pub fields: Value,
}

/// What a node answered about one finalized block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub number: u64,
    pub hash: String,
    pub parent: String,
    /// `Timestamp.Now` at this block.
    pub time: Option<Timestamp>,
    /// What the state at this block calls itself (`Core_version`): the *next* block's runtime.
    pub spec_version: u32,
    pub transaction_version: u32,
    /// `System.LastRuntimeUpgrade.spec_version`: the runtime that has run. This is the proof.
    pub proven_version: Option<u32>,
    /// `System.AuthorizedUpgrade.code_hash`, or `ParachainSystem`'s where that is the older place
    pub authorized: Option<String>,
    /// A multi-block migration has a cursor.
    pub migrating: bool,
    /// A parachain's code that waits for its relay's go-ahead.
    pub pending_code: bool,
    /// The slot of the block's author, where the consensus has slots.
    pub slot: Option<u64>,
    /// The relay's block a parachain's block was built on.
    pub relay_number: Option<u64>,
    /// Of a relay: parachains whose new code goes ahead at a block, by id.
    pub upcoming: Vec<(u32, u64)>,
    pub events: Vec<ChainEvent>,
}

/// The chains next to one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    /// Parachains of this relay, by id.
    pub paras: BTreeMap<u32, String>,
    /// The relay of this parachain.
    pub relay: Option<String>,
}

/// What must be remembered of a chain between two blocks, and over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub genesis: String,
    pub number: u64,
    pub hash: String,
    pub time: Option<Timestamp>,
    /// The version proven to run.
    pub running: u32,
    pub transaction_version: u32,
    pub authorized: Option<String>,
    #[serde(default)]
    pub pace: Pace,
    /// What is the matter with the chain, as told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matter: Option<Matter>,
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
            matter: None,
        }
    }
}

impl Block {
    /// A fact that this block shows.
    pub fn fact(&self, kind: FactKind, chain: &str, spec_version: u32, detail: String) -> Fact {
        Fact {
            kind,
            chain: chain.to_owned(),
            block: self.number,
            hash: self.hash.clone(),
            spec_version,
            time: self.time,
            detail,
            on: None,
            expected: None,
            late: false,
        }
    }

    /// The facts this block adds to what is remembered, and the memory after it.
    pub fn read(&self, chain: &str, before: &Memory, _kin: &Kin) -> (Vec<Fact>, Memory) {
        let mut facts = Vec::new();
        for event in &self.events {
            if let Some((kind, detail)) = meaning(event) {
                facts.push(self.fact(kind, chain, before.running, detail));
            }
        }
        // An authorization that no event told of (set in storage, or seen first after a gap).
        if let Some(hash) = &self.authorized
            && before.authorized.as_ref() != Some(hash)
            && !facts.iter().any(|f| f.kind == FactKind::Authorized)
        {
            facts.push(self.fact(FactKind::Authorized, chain, before.running, hash.clone()));
        }
        let mut running = before.running;
        if let Some(proven) = self.proven_version
            && proven != running
        {
            running = proven;
            facts.push(self.fact(FactKind::Applied, chain, running, format!("from {}", before.running)));
        }
        let memory = Memory {
            genesis: before.genesis.clone(),
            number: self.number,
            hash: self.hash.clone(),
            time: self.time,
            running,
            transaction_version: self.transaction_version,
            authorized: self.authorized.clone(),
            pace: before.pace.and(self),
            matter: before.matter.clone(),
        };
        (facts, memory)
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

fn meaning(event: &ChainEvent) -> Option<(FactKind, String)> {
    use FactKind::*;
    let field = |name: &str| event.fields.get(name).map(text).unwrap_or_default();
    Some(match (event.pallet.as_str(), event.name.as_str()) {
        ("System", "UpgradeAuthorized") => (Authorized, field("code_hash")),
        ("System", "RejectedInvalidAuthorizedUpgrade") => (AuthorizationRejected, field("error")),
        ("System", "CodeUpdated") => (CodeUpdated, String::new()),
        // The extrinsic succeeds when the call inside fails: only the result tells.
        ("Sudo", "Sudid" | "SudoAsDone") => {
            let result = event.fields.get("sudo_result")?;
            (SudoFailed, text(result.get("Err")?))
        }
        ("ParachainSystem", "ValidationFunctionStored") => (CodeStored, String::new()),
        ("ParachainSystem", "ValidationFunctionDiscarded") => (Discarded, String::new()),
        ("MultiBlockMigrations", "UpgradeStarted") => (MigrationStarted, field("migrations")),
        ("MultiBlockMigrations", "MigrationAdvanced" | "MigrationCompleted") => (MigrationStep, field("index")),
        ("MultiBlockMigrations", "UpgradeCompleted") => (MigrationCompleted, String::new()),
        ("MultiBlockMigrations", "MigrationFailed" | "UpgradeFailed") => (MigrationFailed, field("index")),
        _ => return None,
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn block(number: u64, proven: u32, events: Vec<ChainEvent>) -> Block {
        Block {
            number,
            hash: format!("0x{number:02}"),
            spec_version: proven,
            transaction_version: 1,
            proven_version: Some(proven),
            events,
            ..Block::default()
        }
    }
    fn event(pallet: &str, name: &str, fields: Value) -> ChainEvent {
        ChainEvent { pallet: pallet.into(), name: name.into(), fields }
    }
    fn kinds(facts: &[Fact]) -> Vec<&str> {
        facts.iter().map(|f| f.kind.name()).collect()
    }

    #[test]
    fn the_version_is_proven_a_block_after_the_event() {
        let memory = Memory::first("0x00".into(), &block(1, 1, vec![]));
        let mut upgrade = block(2, 1, vec![event("System", "CodeUpdated", json!([]))]);
        upgrade.spec_version = 2; // the state already answers with the new version
        let (facts, memory) = upgrade.read("relay", &memory, &Kin::default());
        assert_eq!(kinds(&facts), ["code_updated"]);
        let (facts, memory) = block(3, 2, vec![]).read("relay", &memory, &Kin::default());
        assert_eq!(kinds(&facts), ["applied"]);
        assert_eq!((facts[0].spec_version, facts[0].block, memory.running), (2, 3, 2));
        assert!(block(4, 2, vec![]).read("relay", &memory, &Kin::default()).0.is_empty());
    }

    #[test]
    fn sudo_is_judged_by_its_inner_result() {
        let memory = Memory::first("0x00".into(), &block(1, 1, vec![]));
        let fine = block(2, 1, vec![event("Sudo", "Sudid", json!({"sudo_result": {"Ok": []}}))]);
        assert!(fine.read("relay", &memory, &Kin::default()).0.is_empty());
        let failed = block(2, 1, vec![event("Sudo", "Sudid", json!({"sudo_result": {"Err": "BadOrigin"}}))]);
        let (facts, _) = failed.read("relay", &memory, &Kin::default());
        assert_eq!((kinds(&facts), facts[0].detail.as_str()), (vec!["sudo_failed"], "BadOrigin"));
    }

    #[test]
    fn an_authorization_in_storage_alone_is_seen_once() {
        let memory = Memory::first("0x00".into(), &block(1, 1, vec![]));
        let mut with = block(2, 1, vec![]);
        with.authorized = Some("0xab".into());
        let (facts, memory) = with.read("people", &memory, &Kin::default());
        assert_eq!(kinds(&facts), ["authorized"]);
        with.number = 3;
        assert!(with.read("people", &memory, &Kin::default()).0.is_empty());
    }

    #[test]
    fn inherents_are_not_transactions() {
        let class = |c: &str| json!({"dispatch_info": {"class": c}});
        let b = block(
            2,
            1,
            vec![
                event("System", "ExtrinsicSuccess", class("Mandatory")),
                event("System", "ExtrinsicSuccess", class("Normal")),
                event("System", "ExtrinsicFailed", class("Normal")),
            ],
        );
        assert_eq!(b.transactions(), (1, 1));
    }
}
