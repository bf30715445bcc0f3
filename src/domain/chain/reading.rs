//! Reading a finalized block: from what the chain answered to facts.

use serde_json::Value;

use super::{
    block::{Block, ChainEvent, Kin, index},
    fact::{Expected, Fact},
    fact_kind::FactKind,
    memory::Memory,
    payload::{Payload, PvfCheck, ReferendumNews, ReferendumStatus},
};

/// Returns the facts that a block adds to what is remembered, and the memory after it.
pub fn read(block: &Block, chain: &str, before: &Memory, kin: &Kin) -> (Vec<Fact>, Memory) {
    let mut reading = BlockReader {
        block,
        chain,
        before,
        kin,
        memory: Memory {
            number: block.number,
            hash: block.hash.clone(),
            time: block.time,
            authorized: block.authorized.clone(),
            upcoming: Vec::new(),
            pace: before.pace.and(block),
            ..before.clone()
        },
        facts: Vec::new(),
    };
    let contiguous = block.number <= before.number + 1 && !block.without_events;
    let parachains = &mut reading.memory.parachains;
    parachains.note(block.number, &block.included(), contiguous);
    reading.events();
    reading.enactments();
    reading.go_aheads();
    reading.authorization();
    reading.version();
    reading.transaction_version();
    (reading.facts, reading.memory)
}

/// A block as it is being read: each step adds facts, and changes the memory.
struct BlockReader<'a> {
    block: &'a Block,
    chain: &'a str,
    before: &'a Memory,
    kin: &'a Kin,
    memory: Memory,
    facts: Vec<Fact>,
}

impl BlockReader<'_> {
    /// A fact of this chain, under the version that ran before the block.
    fn fact(&self, payload: Payload) -> Fact {
        Fact::of(self.block, payload, self.chain, self.before.running)
    }

    /// A fact of a parachain, whose version its relay doesn't know.
    fn fact_of_parachain(&self, payload: Payload, name: &str) -> Fact {
        Fact {
            on: Some(self.chain.to_owned()),
            ..Fact::of(self.block, payload, name, 0)
        }
    }

    fn shows(&self, kind: FactKind) -> bool {
        self.facts.iter().any(|f| f.kind() == kind)
    }

    fn events(&mut self) {
        for event in &self.block.events {
            let fact = if let Some(payload) = meaning(self.block, event) {
                match payload {
                    Payload::CodeStored => self.memory.pending_code = true,
                    Payload::CodeUpdated { .. } | Payload::Discarded => {
                        self.memory.pending_code = false;
                    }
                    _ => {}
                }
                self.fact(payload)
            } else if let Some((referendum, result)) = dispatched(event, self.before) {
                self.memory.enactments.remove(&referendum);
                self.fact(Payload::Dispatched {
                    referendum: Some(referendum),
                    result,
                })
            } else if let Some((para, check)) = pvf_check(event)
                && let Some(name) = self.kin.paras.get(&para)
            {
                self.fact_of_parachain(Payload::PvfCheck(check), name)
            } else {
                continue;
            };
            self.facts.push(fact);
        }
    }

    fn enactments(&mut self) {
        for &(referendum, when) in &self.block.enactments {
            if self.memory.enactments.insert(referendum, when) != Some(when) {
                let fact = Fact {
                    expected: self.counted(when),
                    ..self.fact(Payload::Scheduled { referendum })
                };
                self.facts.push(fact);
            }
        }
    }

    /// No event tells of a go-ahead: it is in the state, until its block has come.
    fn go_aheads(&mut self) {
        for &(para, when) in &self.block.upcoming {
            let Some(name) = self.kin.paras.get(&para) else {
                continue;
            };
            self.memory.upcoming.push((para, when));
            if !self.before.upcoming.contains(&(para, when)) {
                let expected = Expected {
                    chain: self.chain.to_owned(),
                    block: when,
                    estimate: None,
                };
                let fact = Fact {
                    expected: Some(expected),
                    ..self.fact_of_parachain(Payload::GoAhead, name)
                };
                self.facts.push(fact);
            }
        }
    }

    /// Adds an authorization that no event told of: it was set in storage, or is seen first after a gap.
    fn authorization(&mut self) {
        if let Some(hash) = &self.block.authorized
            && self.before.authorized.as_ref() != Some(hash)
            && !self.shows(FactKind::Authorized)
        {
            let code_hash = Some(hash.clone());
            self.facts
                .push(self.fact(Payload::Authorized { code_hash }));
        }
    }

    fn version(&mut self) {
        let before = self.before.running;
        if let Some(proven) = self.block.proven_version
            && proven != before
        {
            self.memory.running = proven;
            // Whatever waited has gone ahead, unless it was stored in this very block.
            self.memory.pending_code &= self.shows(FactKind::CodeStored);
            let payload = Payload::Applied { from: Some(before) };
            self.facts
                .push(Fact::of(self.block, payload, self.chain, proven));
        }
    }

    /// The state names the next block's runtime: its numbers count once that runtime has run.
    fn transaction_version(&mut self) {
        let (from, to) = (
            self.before.transaction_version,
            self.block.transaction_version,
        );
        if self.block.spec_version == self.memory.running && to != from {
            self.memory.transaction_version = to;
            let payload = Payload::TransactionVersion { from, to };
            self.facts.push(Fact::of(
                self.block,
                payload,
                self.chain,
                self.memory.running,
            ));
        }
    }

    /// A block for which the scheduler has a call. A parachain's scheduler may count its own blocks or
    /// its relay's, as on Asset Hub: meant is the one whose present number is nearer.
    fn counted(&self, when: u64) -> Option<Expected> {
        let chain = match self.block.relay_number {
            Some(relay) if when.abs_diff(relay) < when.abs_diff(self.block.number) => {
                self.kin.relay.clone()?
            }
            _ => self.chain.to_owned(),
        };
        Some(Expected {
            chain,
            block: when,
            estimate: None,
        })
    }
}

/// Returns the fact that an event of this chain's own shows, if it shows one.
fn meaning(block: &Block, event: &ChainEvent) -> Option<Payload> {
    let field = |name: &str| event.fields.get(name).map(text);
    let error = || field("error").unwrap_or_default();
    let number = |name: &str| field(name).and_then(|n| n.parse().ok());
    Some(match (event.pallet.as_str(), event.name.as_str()) {
        ("System" | "ParachainSystem", "UpgradeAuthorized") => Payload::Authorized {
            code_hash: field("code_hash").filter(|hash| !hash.is_empty()),
        },
        ("System", "RejectedInvalidAuthorizedUpgrade") => {
            Payload::AuthorizationRejected { error: error() }
        }
        ("System", "CodeUpdated") => Payload::CodeUpdated {
            relay_block: went_ahead(block),
        },
        // The extrinsic succeeds when the call inside fails: only the result tells.
        ("Sudo", "Sudid" | "SudoAsDone") => Payload::SudoFailed {
            error: outcome(event, "sudo_result")?.err()?,
        },
        ("System", "ExtrinsicFailed") => Payload::CodeRefused {
            error: field("dispatch_error").filter(|error| is_about_code(error))?,
        },
        // One call of several, which succeed together.
        ("Utility", "ItemFailed" | "BatchInterrupted") => Payload::CodeRefused {
            error: Some(error()).filter(|error| is_about_code(error))?,
        },
        ("ParachainSystem", "ValidationFunctionStored") => Payload::CodeStored,
        ("ParachainSystem", "ValidationFunctionDiscarded") => Payload::Discarded,
        ("MultiBlockMigrations", "UpgradeStarted") => Payload::MigrationStarted {
            migrations: number("migrations"),
        },
        ("MultiBlockMigrations", "MigrationAdvanced" | "MigrationCompleted") => {
            Payload::MigrationStep {
                index: number("index"),
            }
        }
        ("MultiBlockMigrations", "UpgradeCompleted") => Payload::MigrationCompleted,
        ("MultiBlockMigrations", "MigrationFailed" | "UpgradeFailed") => Payload::MigrationFailed {
            index: number("index"),
        },
        ("Referenda", name) => Payload::Referendum(ReferendumNews {
            index: index(event, "index")?,
            status: moved(name)?,
        }),
        ("Whitelist", "WhitelistedCallDispatched") => Payload::Dispatched {
            referendum: None,
            result: outcome(event, "result")?,
        },
        _ => return None,
    })
}

/// The errors that a chain answers to new code, and to nothing else. `NothingAuthorized` and `Unauthorized` are left out:
/// anybody may send code that nobody has authorized, as often as they like.
fn is_about_code(error: &str) -> bool {
    matches!(
        error,
        "System.InvalidSpecName"
            | "System.SpecVersionNeedsToIncrease"
            | "System.FailedToExtractRuntimeVersion"
            | "System.MultiBlockMigrationsOngoing"
            | "ParachainSystem.OverlappingUpgrades"
            | "ParachainSystem.ProhibitedByPolkadot"
            | "ParachainSystem.TooBig"
    )
}

/// Returns the relay's block at which a parachain was told to go ahead.
fn went_ahead(block: &Block) -> Option<u64> {
    let applied = block
        .events
        .iter()
        .find(|e| e.pallet == "ParachainSystem" && e.name == "ValidationFunctionApplied")?;
    applied
        .fields
        .get("relay_chain_block_num")
        .or(Some(&applied.fields))?
        .as_u64()
}

/// The step that a referendum's event tells of; most events say nothing about its course.
fn moved(event: &str) -> Option<ReferendumStatus> {
    Some(match event {
        "Submitted" => ReferendumStatus::Submitted,
        "DecisionStarted" => ReferendumStatus::Deciding,
        "ConfirmStarted" => ReferendumStatus::Confirming,
        "ConfirmAborted" => ReferendumStatus::ConfirmAborted,
        "Confirmed" => ReferendumStatus::Confirmed,
        "Approved" => ReferendumStatus::Approved,
        "Rejected" => ReferendumStatus::Rejected,
        "TimedOut" => ReferendumStatus::TimedOut,
        "Cancelled" => ReferendumStatus::Cancelled,
        "Killed" => ReferendumStatus::Killed,
        _ => return None,
    })
}

/// A referendum's call that the scheduler has done with, and how that went.
fn dispatched(event: &ChainEvent, before: &Memory) -> Option<(u32, Result<(), String>)> {
    if event.pallet != "Scheduler" {
        return None;
    }
    let referendum = || before.enacts(event.fields.get("id")?.get("Some")?.as_str()?);
    Some(match event.name.as_str() {
        "Dispatched" => (referendum()?, outcome(event, "result")?),
        "CallUnavailable" => (referendum()?, Err("call unavailable".to_owned())),
        "PermanentlyOverweight" => (referendum()?, Err("call too heavy".to_owned())),
        _ => return None,
    })
}

/// Validators' check of a parachain's new code: its id, and how far they are.
fn pvf_check(event: &ChainEvent) -> Option<(u32, PvfCheck)> {
    let check = match (event.pallet.as_str(), event.name.as_str()) {
        ("Paras", "PvfCheckStarted") => PvfCheck::Started,
        ("Paras", "PvfCheckAccepted") => PvfCheck::Accepted,
        ("Paras", "PvfCheckRejected") => PvfCheck::Rejected,
        _ => return None,
    };
    // Unnamed: the code's hash, the parachain's id.
    Some((u32::try_from(event.fields.get(1)?.as_u64()?).ok()?, check))
}

/// The result in a field of an event; an error is its name, or what stands with a dispatch's costs.
fn outcome(event: &ChainEvent, field: &str) -> Option<Result<(), String>> {
    let error = event.fields.get(field)?.get("Err");
    Some(match error {
        Some(error) => Err(text(error.get("error").unwrap_or(error))),
        None => Ok(()),
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
    use jiff::Timestamp;
    use serde_json::json;

    use super::{super::memory::enactment_name, *};
    use crate::domain::hex;

    impl Block {
        /// Reads the block, as a method for the tests' sake.
        pub fn read(&self, chain: &str, before: &Memory, kin: &Kin) -> (Vec<Fact>, Memory) {
            read(self, chain, before, kin)
        }
    }

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
        ChainEvent {
            pallet: pallet.into(),
            name: name.into(),
            fields,
        }
    }
    fn kinds(facts: &[Fact]) -> Vec<&str> {
        facts.iter().map(|f| f.kind().name()).collect()
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
        assert_eq!(
            (facts[0].spec_version, facts[0].block, memory.running),
            (2, 3, 2)
        );
        assert!(
            block(4, 2, vec![])
                .read("relay", &memory, &Kin::default())
                .0
                .is_empty()
        );
    }

    #[test]
    fn sudo_is_judged_by_its_inner_result() {
        let memory = Memory::first("0x00".into(), &block(1, 1, vec![]));
        let fine = block(
            2,
            1,
            vec![event("Sudo", "Sudid", json!({"sudo_result": {"Ok": []}}))],
        );
        assert!(fine.read("relay", &memory, &Kin::default()).0.is_empty());
        let failed = block(
            2,
            1,
            vec![event(
                "Sudo",
                "Sudid",
                json!({"sudo_result": {"Err": "BadOrigin"}}),
            )],
        );
        let (facts, _) = failed.read("relay", &memory, &Kin::default());
        assert_eq!(
            (kinds(&facts), facts[0].detail()),
            (vec!["sudo_failed"], "BadOrigin".to_owned())
        );
    }

    #[test]
    fn code_that_a_chain_refuses_is_told_from_other_failures() {
        let memory = Memory::first("0x00".into(), &block(1, 1, vec![]));
        let failed = |error: &str| {
            let dispatch_info = json!({"class": "Normal"});
            let fields = json!({"dispatch_error": error, "dispatch_info": dispatch_info});
            let event = event("System", "ExtrinsicFailed", fields);
            let (facts, _) = block(2, 1, vec![event]).read("relay", &memory, &Kin::default());
            shown(&facts)
        };
        for error in ["System.InvalidSpecName", "ParachainSystem.TooBig"] {
            assert_eq!(failed(error), [format!("relay code_refused {error}")]);
        }
        for error in ["System.Unauthorized", "Balances.InsufficientBalance"] {
            assert!(failed(error).is_empty(), "{error}");
        }
        let item = |name: &str| {
            let fields = json!({"index": 1, "error": "ParachainSystem.OverlappingUpgrades"});
            let (facts, _) = block(2, 1, vec![event("Utility", name, fields)]).read(
                "relay",
                &memory,
                &Kin::default(),
            );
            shown(&facts)
        };
        let refused = ["relay code_refused ParachainSystem.OverlappingUpgrades"];
        for name in ["ItemFailed", "BatchInterrupted"] {
            assert_eq!(item(name), refused, "{name}");
        }
        assert!(item("DispatchedAs").is_empty());
    }

    #[test]
    fn blocks_that_were_not_examined_are_no_silence_of_a_parachain() {
        let included = |number| {
            let candidate = json!({"para_id": 2000});
            block(
                number,
                1,
                vec![event("ParaInclusion", "CandidateIncluded", candidate)],
            )
        };
        let mut memory = first();
        for number in 2..20 {
            (_, memory) = included(number).read("relay", &memory, &Kin::default());
        }
        let silent_since = |numbers: std::ops::Range<u64>, without_events: bool| {
            let mut memory = memory.clone();
            for number in numbers {
                let block = Block {
                    without_events,
                    ..block(number, 1, vec![])
                };
                (_, memory) = block.read("relay", &memory, &Kin::default());
            }
            memory.parachains.silent_since(2000, 59, 10)
        };
        assert_eq!(silent_since(20..60, false), Some(19));
        assert_eq!(silent_since(20..60, true), None);
        assert_eq!(silent_since(59..60, false), None);
    }

    #[test]
    fn an_authorization_in_storage_alone_is_seen_once() {
        let memory = Memory::first("0x00".into(), &block(1, 1, vec![]));
        let mut with = block(2, 1, vec![]);
        with.authorized = Some("0xab".into());
        let (facts, memory) = with.read("people", &memory, &Kin::default());
        assert_eq!(kinds(&facts), ["authorized"]);
        (with.number, with.hash, with.time) = (3, "0x03".into(), Some(Timestamp::UNIX_EPOCH));
        let (facts, after) = with.read("people", &memory, &Kin::default());
        assert!(facts.is_empty());
        assert_eq!(
            (after.number, after.hash, after.time),
            (3, with.hash, with.time)
        );
    }

    fn first() -> Memory {
        Memory::first("0x00".into(), &block(1, 1, vec![]))
    }
    fn kin() -> Kin {
        Kin {
            paras: [(1004, "people".to_owned())].into(),
            relay: None,
        }
    }
    fn shown(facts: &[Fact]) -> Vec<String> {
        facts
            .iter()
            .map(|f| {
                format!("{} {} {}", f.chain, f.kind().name(), f.detail())
                    .trim()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn a_relay_tells_how_its_parachains_code_is_checked() {
        let check = |result: &str, para: u32| {
            event("Paras", &format!("PvfCheck{result}"), json!(["0xaa", para]))
        };
        let events = vec![
            check("Started", 1004),
            check("Started", 2000),
            check("Accepted", 1004),
            check("Rejected", 1004),
        ];
        let (facts, _) = block(2, 1, events).read("relay", &first(), &kin());
        assert_eq!(
            shown(&facts),
            [
                "people pvf_check started",
                "people pvf_check accepted",
                "people pvf_check rejected"
            ]
        );
        assert!(
            facts
                .iter()
                .all(|f| f.on.as_deref() == Some("relay") && f.block == 2 && f.hash == "0x02")
        );
    }

    #[test]
    fn a_go_ahead_is_told_once_and_again_when_it_moves() {
        let with = |number, upcoming: &[(u32, u64)]| Block {
            upcoming: upcoming.to_vec(),
            ..block(number, 1, vec![])
        };
        let (facts, memory) = with(2, &[(1004, 50), (2000, 51)]).read("relay", &first(), &kin());
        assert_eq!(shown(&facts), ["people go_ahead"]);
        assert_eq!(facts[0].on.as_deref(), Some("relay"));
        assert_eq!(
            facts[0].expected,
            Some(Expected {
                chain: "relay".into(),
                block: 50,
                estimate: None
            })
        );
        let (facts, memory) = with(3, &[(1004, 50), (2000, 51)]).read("relay", &memory, &kin());
        assert!(facts.is_empty());
        let (facts, memory) = with(4, &[(1004, 60)]).read("relay", &memory, &kin());
        assert_eq!(facts[0].expected.as_ref().map(|e| e.block), Some(60));
        // A parachain that is named later is told of then.
        let named = Kin {
            paras: [(1004, "people".to_owned()), (2000, "other".to_owned())].into(),
            relay: None,
        };
        let (facts, memory) = with(5, &[(1004, 60), (2000, 51)]).read("relay", &memory, &named);
        assert_eq!(shown(&facts), ["other go_ahead"]);
        assert!(
            with(6, &[])
                .read("relay", &memory, &named)
                .1
                .upcoming
                .is_empty(),
            "over"
        );
    }

    #[test]
    fn a_referendum_is_told_at_each_step() {
        let steps = [
            ("Submitted", "7 submitted"),
            ("DecisionStarted", "7 deciding"),
            ("ConfirmStarted", "7 confirming"),
            ("ConfirmAborted", "7 confirm aborted"),
            ("Confirmed", "7 confirmed"),
            ("Approved", "7 approved"),
            ("Rejected", "7 rejected"),
            ("TimedOut", "7 timed out"),
            ("Cancelled", "7 cancelled"),
            ("Killed", "7 killed"),
        ];
        let mut events: Vec<ChainEvent> = steps
            .iter()
            .map(|(name, _)| event("Referenda", name, json!({"index": 7, "tally": {}})))
            .collect();
        events.push(event(
            "Referenda",
            "DecisionDepositPlaced",
            json!({"index": 7}),
        ));
        let b = block(2, 1, events);
        let (facts, _) = b.read("hub", &first(), &Kin::default());
        assert_eq!(
            facts.iter().map(Fact::detail).collect::<Vec<_>>(),
            steps.map(|(_, detail)| detail)
        );
        assert!(facts.iter().all(|f| f.payload.referendum() == Some(7)));
        assert_eq!(b.passed(), [7]);
    }

    #[test]
    fn a_referendums_call_is_known_by_its_name() {
        // Names that real chains used.
        assert_eq!(
            hex::encode(&enactment_name(383)),
            "0xc4dacac2d61c3369c9629e3e33d106c067046c4b5084dd9521885798c9e9c7b9"
        );
        assert_eq!(
            hex::encode(&enactment_name(33)),
            "0x84c108e68bbde930d2925776a976845fd356f7d5770169a7859ead8bd92c0abe"
        );
        let call = |name: &str, referendum, result: Value| {
            event(
                "Scheduler",
                name,
                json!({"task": [9, 0], "id": {"Some": hex::encode(&enactment_name(referendum))}, "result": result}),
            )
        };
        let scheduled = Block {
            enactments: vec![(7, 9), (8, 9), (9, 9), (10, 9)],
            ..block(2, 1, vec![])
        };
        let (facts, memory) = scheduled.read("hub", &first(), &Kin::default());
        assert_eq!(
            shown(&facts),
            [
                "hub scheduled 7",
                "hub scheduled 8",
                "hub scheduled 9",
                "hub scheduled 10"
            ]
        );
        assert_eq!(
            facts[0].expected,
            Some(Expected {
                chain: "hub".into(),
                block: 9,
                estimate: None
            })
        );
        assert!(
            scheduled.read("hub", &memory, &Kin::default()).0.is_empty(),
            "told once"
        );
        let events = vec![
            call("Dispatched", 7, json!({"Ok": []})),
            call(
                "Dispatched",
                8,
                json!({"Err": "System.FailedToExtractRuntimeVersion"}),
            ),
            call("CallUnavailable", 9, Value::Null),
            call("PermanentlyOverweight", 10, Value::Null),
            call("Dispatched", 11, json!({"Ok": []})),
            event(
                "Scheduler",
                "Dispatched",
                json!({"task": [9, 1], "id": "None", "result": {"Ok": []}}),
            ),
        ];
        let (facts, memory) = block(9, 1, events).read("hub", &memory, &Kin::default());
        assert_eq!(
            shown(&facts),
            [
                "hub dispatched 7 ok",
                "hub dispatched 8 System.FailedToExtractRuntimeVersion",
                "hub dispatched 9 call unavailable",
                "hub dispatched 10 call too heavy"
            ]
        );
        assert_eq!(
            facts
                .iter()
                .filter_map(|f| f.payload.referendum())
                .collect::<Vec<_>>(),
            [7, 8, 9, 10]
        );
        assert!(memory.enactments.is_empty());
    }

    #[test]
    fn a_scheduler_may_count_the_relays_blocks() {
        let mut hub = Block {
            enactments: vec![(7, 8_000_100)],
            relay_number: Some(8_000_000),
            ..block(2_000_000, 1, vec![])
        };
        let kin = Kin {
            relay: Some("relay".into()),
            ..Kin::default()
        };
        let expected = |b: &Block, kin: &Kin| b.read("hub", &first(), kin).0[0].expected.clone();
        assert_eq!(
            expected(&hub, &kin),
            Some(Expected {
                chain: "relay".into(),
                block: 8_000_100,
                estimate: None
            })
        );
        assert_eq!(
            expected(&hub, &Kin::default()),
            None,
            "nobody knows what the relay is called"
        );
        hub.enactments = vec![(7, 2_000_100)];
        assert_eq!(
            expected(&hub, &kin),
            Some(Expected {
                chain: "hub".into(),
                block: 2_000_100,
                estimate: None
            })
        );
    }

    #[test]
    fn a_whitelisted_call_is_judged_by_its_result() {
        let call = |result: Value| {
            event(
                "Whitelist",
                "WhitelistedCallDispatched",
                json!({"call_hash": "0xaa", "result": result}),
            )
        };
        let refused =
            json!({"Err": {"post_info": {"actual_weight": "None"}, "error": "BadOrigin"}});
        let (facts, _) = block(2, 1, vec![call(json!({"Ok": {}})), call(refused)]).read(
            "hub",
            &first(),
            &Kin::default(),
        );
        assert_eq!(
            shown(&facts),
            [
                "hub dispatched whitelisted call ok",
                "hub dispatched whitelisted call BadOrigin"
            ]
        );
        assert_eq!(facts[0].payload.referendum(), None);
    }

    #[test]
    fn a_transaction_version_is_told_once_with_the_proof() {
        let at = |number, proven, spec_version, transaction_version| Block {
            spec_version,
            transaction_version,
            ..block(number, proven, vec![])
        };
        let told = |blocks: &[Block]| {
            let mut memory = first();
            let read = |b: &Block| {
                let (facts, after) = b.read("relay", &memory, &Kin::default());
                memory = after;
                facts
                    .into_iter()
                    .map(|f| format!("{} {} {}", f.block, f.kind().name(), f.detail()))
            };
            blocks.iter().flat_map(read).collect::<Vec<_>>()
        };
        // The state answers with the new version a block before it runs.
        let expected = ["3 applied from 1", "3 transaction_version 1 to 2"];
        assert_eq!(
            told(&[at(2, 1, 2, 2), at(3, 2, 2, 2), at(4, 2, 2, 2)]),
            expected
        );
        // A block later, with system_version 3.
        let expected = ["4 applied from 1", "4 transaction_version 1 to 2"];
        assert_eq!(
            told(&[
                at(2, 1, 1, 1),
                at(3, 1, 2, 2),
                at(4, 2, 2, 2),
                at(5, 2, 2, 2)
            ]),
            expected
        );
        // Found after a gap.
        let expected = ["900 applied from 1", "900 transaction_version 1 to 2"];
        assert_eq!(told(&[at(900, 2, 2, 2), at(901, 2, 2, 2)]), expected);
        assert_eq!(
            told(&[at(2, 1, 2, 1), at(3, 2, 2, 1)]),
            ["3 applied from 1"],
            "transactions stay as they were"
        );
    }

    #[test]
    fn a_parachains_code_waits_from_its_storing_until_it_goes_ahead() {
        let own = |name: &str, fields: Value| event("ParachainSystem", name, fields);
        let (facts, memory) = block(2, 1, vec![own("ValidationFunctionStored", json!([]))]).read(
            "people",
            &first(),
            &Kin::default(),
        );
        assert_eq!(
            (shown(&facts), memory.pending_code),
            (vec!["people code_stored".to_owned()], true)
        );
        let ahead = vec![
            event("System", "CodeUpdated", json!([])),
            own(
                "ValidationFunctionApplied",
                json!({"relay_chain_block_num": 77}),
            ),
        ];
        let (facts, after) = block(3, 1, ahead).read("people", &memory, &Kin::default());
        assert_eq!(
            (shown(&facts), after.pending_code),
            (vec!["people code_updated relay block 77".to_owned()], false)
        );
        let (facts, after) = block(3, 1, vec![own("ValidationFunctionDiscarded", json!([]))]).read(
            "people",
            &memory,
            &Kin::default(),
        );
        assert_eq!(
            (shown(&facts), after.pending_code),
            (vec!["people discarded".to_owned()], false)
        );
        assert!(
            !block(900, 2, vec![])
                .read("people", &memory, &Kin::default())
                .1
                .pending_code,
            "it went ahead in a gap"
        );
        let older = own("UpgradeAuthorized", json!({"code_hash": "0xab"}));
        assert_eq!(
            shown(
                &block(2, 1, vec![older])
                    .read("people", &first(), &Kin::default())
                    .0
            ),
            ["people authorized 0xab"]
        );
    }

    #[test]
    fn a_memory_of_an_older_herald_is_understood() {
        let older = r#"{"genesis":"0x00","number":1,"hash":"0x01","time":null,"running":1,"transaction_version":1,"authorized":null}"#;
        assert_eq!(serde_json::from_str::<Memory>(older).unwrap(), first());
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

    #[test]
    fn events_that_look_alike_are_not_taken_for_others() {
        let silent = [
            event(
                "Elsewhere",
                "UpgradeAuthorized",
                json!({"code_hash": "0xab"}),
            ),
            event("Scheduler", "Elsewhere", json!({"id": {"Some": "0x00"}})),
            event("Elsewhere", "Dispatched", json!({"id": {"Some": "0x00"}})),
            event("Paras", "Elsewhere", json!(["0xaa", 1004])),
            event("Elsewhere", "PvfCheckStarted", json!(["0xaa", 1004])),
            event("Sudo", "Sudid", json!({"sudo_result": {"Ok": []}})),
            event("Whitelist", "CallWhitelisted", json!({"call_hash": "0xaa"})),
        ];
        let (facts, _) = block(2, 1, silent.to_vec()).read("relay", &first(), &kin());
        assert_eq!(shown(&facts), [""; 0]);
    }

    #[test]
    fn migrations_refusals_and_whoever_acts_as_root_are_told_by_their_fields() {
        let migrations = |name: &str, fields: Value| event("MultiBlockMigrations", name, fields);
        let events = vec![
            migrations("UpgradeStarted", json!({"migrations": 3})),
            migrations("MigrationAdvanced", json!({"index": 0})),
            migrations("MigrationCompleted", json!({"index": 1})),
            migrations("UpgradeCompleted", json!([])),
            migrations("MigrationFailed", json!({"index": 2})),
            migrations("UpgradeFailed", json!([])),
            event(
                "System",
                "RejectedInvalidAuthorizedUpgrade",
                json!({"code_hash": "0xab", "error": {"Module": 1}}),
            ),
            event(
                "Sudo",
                "SudoAsDone",
                json!({"sudo_result": {"Err": {"Module": 2}}}),
            ),
            event("System", "UpgradeAuthorized", json!({"code_hash": ""})),
        ];
        let expected = [
            "relay migration_started 3",
            "relay migration_step 0",
            "relay migration_step 1",
            "relay migration_completed",
            "relay migration_failed 2",
            "relay migration_failed",
            "relay authorization_rejected {\"Module\":1}",
            "relay sudo_failed {\"Module\":2}",
            "relay authorized",
        ];
        let mut b = block(2, 1, events);
        b.authorized = Some("0xab".into());
        let (facts, memory) = b.read("relay", &first(), &kin());
        assert_eq!(shown(&facts), expected, "the event told of it already");
        assert_eq!(facts[0].spec_version, 1);
        assert_eq!(memory.authorized.as_deref(), Some("0xab"));
        b.events.clear();
        b.authorized = Some("0xcd".into());
        let (facts, _) = b.read("relay", &memory, &kin());
        assert_eq!(shown(&facts), ["relay authorized 0xcd"], "another code");
    }

    #[test]
    fn code_that_is_stored_in_the_block_of_an_upgrade_still_waits() {
        let stored = event("ParachainSystem", "ValidationFunctionStored", json!([]));
        let (_, memory) = block(3, 2, vec![stored]).read("people", &first(), &Kin::default());
        assert!(memory.pending_code && memory.running == 2);
        let unnamed = vec![
            event("System", "CodeUpdated", json!([])),
            event("Elsewhere", "ValidationFunctionApplied", json!(76)),
            event("ParachainSystem", "Elsewhere", json!(76)),
            event("ParachainSystem", "ValidationFunctionApplied", json!(77)),
        ];
        let (facts, _) = block(4, 2, unnamed).read("people", &memory, &Kin::default());
        assert_eq!(shown(&facts), ["people code_updated relay block 77"]);
    }

    #[test]
    fn a_call_counts_the_blocks_that_are_nearer() {
        let chain = |when, own, relay| {
            let block = Block {
                enactments: vec![(7, when)],
                relay_number: relay,
                ..block(own, 1, vec![])
            };
            let kin = Kin {
                relay: Some("relay".into()),
                ..Kin::default()
            };
            let (facts, memory) = block.read("hub", &first(), &kin);
            assert_eq!(memory.enactments.get(&7), Some(&when));
            facts[0].expected.as_ref().map(|e| e.chain.clone()).unwrap()
        };
        assert_eq!(chain(100, 90, Some(110)), "hub", "as near");
        assert_eq!(chain(100, 90, Some(109)), "relay");
        assert_eq!(chain(100, 90, None), "hub");
    }
}
