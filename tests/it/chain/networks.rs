//! Networks that chance makes, healthy ones and hurt ones: after an upgrade of the relay each parachain that is hurt is
//! named in time, a relay that is hurt is not verified, and nothing else is called otherwise.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;
use upgrade_herald::{
    config::{Origin, Plan},
    domain::{
        campaign::{
            progress::{BlockSeen, Observed, Progress, State},
            upgrade::{Target, Upgrade},
        },
        chain::{
            block::{Block, ChainEvent, Kin},
            memory::Memory,
            pending::PendingChanges,
            reading,
        },
        plan::notice::Happening,
    },
    lint,
};

use crate::harness::dice::Dice;

const HEALTHY: u64 = 1000;
const HURT: u64 = 200;
/// The relay's block in which it is upgraded, and the last one.
const UPGRADED: u64 = 1000;
const LAST: u64 = 1500;
/// A session is so many blocks; with a new one nothing is included for a moment.
const SESSION_BLOCKS: u64 = 300;
/// A block on demand is included so many blocks after it was ordered.
const ORDER_BLOCKS: u64 = 3;
/// Five minutes, by the relay's blocks.
const IN_TIME_BLOCKS: u64 = 50;

/// How a parachain makes blocks.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Each so many blocks of the relay, one in so many of them missed.
    Regular { every: u64, missed: u64 },
    /// Whenever somebody orders one: one of so many blocks.
    OnDemand { one_in: u64 },
    /// Nothing, ever.
    Idle,
}

/// What is wrong with a relay since its upgrade. None of it goes beyond a limit that the plan sets by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    NoTransactions,
    /// Two of five transactions fail.
    Failures,
    /// A block takes 20 to 25 s.
    SlowBlocks,
    /// Finality is 15 blocks behind.
    LateFinality,
}

#[derive(Debug)]
struct Parachain {
    habit: Habit,
    /// The block with which its coretime ends.
    coretime_ends: u64,
    /// The block from which on it is hurt, and the one with which it is well again.
    hurt: Option<(u64, u64)>,
}

struct Network {
    dice: Dice,
    parachains: BTreeMap<u32, Parachain>,
    /// One in so many slots of the relay is missed.
    missed_slots: u64,
    /// The orders of blocks on demand: the parachain, and the block that includes it.
    ordered: BTreeMap<u32, u64>,
    second: i64,
    harm: Option<Harm>,
}

impl Network {
    fn new(seed: u64, is_hurt: bool) -> Self {
        let mut dice = Dice::new(seed);
        let count = dice.between(3, 9);
        let hurt_count = if is_hurt { dice.between(1, 2) } else { 0 };
        let parachains = (0..count).map(|n| {
            let is_hurt = n < hurt_count;
            let habit = match dice.roll(10) {
                0..=1 if !is_hurt => Habit::OnDemand {
                    one_in: dice.between(20, 200),
                },
                2 if !is_hurt => Habit::Idle,
                _ => Habit::Regular {
                    every: dice.between(1, 3),
                    missed: dice.between(5, 50),
                },
            };
            let ends = !is_hurt && dice.one_in(5);
            let hurt_from = UPGRADED + dice.between(0, 3);
            let hurt_until = if dice.one_in(2) {
                LAST
            } else {
                UPGRADED + dice.between(120, 300)
            };
            let parachain = Parachain {
                habit,
                coretime_ends: if ends {
                    dice.between(300, LAST)
                } else {
                    u64::MAX
                },
                hurt: is_hurt.then_some((hurt_from, hurt_until)),
            };
            (2000 + u32::try_from(n).unwrap(), parachain)
        });
        let parachains = parachains.collect();
        let missed_slots = dice.between(10, 200);
        Self {
            dice,
            parachains,
            missed_slots,
            ordered: BTreeMap::new(),
            second: 0,
            harm: None,
        }
    }

    fn suffers(&self, harm: Harm, number: u64) -> bool {
        self.harm == Some(harm) && number >= UPGRADED
    }

    fn finality_lag(&mut self, number: u64) -> u64 {
        let usual = self.dice.roll(4);
        if self.suffers(Harm::LateFinality, number) {
            15
        } else {
            usual
        }
    }

    /// The parachains of which the relay includes a block, and those that have a core for its next ones.
    fn includes(&mut self, number: u64) -> (Vec<u32>, BTreeSet<u32>) {
        let (mut included, mut with_core) = (Vec::new(), BTreeSet::new());
        let session_begins = number % SESSION_BLOCKS < 4;
        for (id, parachain) in &self.parachains {
            if number >= parachain.coretime_ends {
                continue;
            }
            let makes_one = match parachain.habit {
                Habit::Regular { every, missed } => {
                    with_core.insert(*id);
                    number.is_multiple_of(every) && !self.dice.one_in(missed)
                }
                Habit::OnDemand { one_in } => {
                    // An order has a core until its block is included.
                    if self.dice.one_in(one_in) {
                        self.ordered.entry(*id).or_insert(number + ORDER_BLOCKS);
                    }
                    let due = self.ordered.get(id).copied();
                    if due.is_some() {
                        with_core.insert(*id);
                    }
                    let is_due = due.is_some_and(|due| due <= number) && !session_begins;
                    if is_due {
                        self.ordered.remove(id);
                    }
                    is_due
                }
                Habit::Idle => false,
            };
            let is_hurt = parachain
                .hurt
                .is_some_and(|(from, until)| (from..until).contains(&number));
            if makes_one && !is_hurt && !session_begins {
                included.push(*id);
            }
        }
        (included, with_core)
    }

    fn block(&mut self, number: u64, included: &[u32]) -> Block {
        self.second += 6;
        while self.dice.one_in(self.missed_slots) {
            self.second += 6;
        }
        if self.suffers(Harm::SlowBlocks, number) {
            self.second += i64::try_from(self.dice.between(14, 19)).unwrap();
        }
        let event = |pallet: &str, name: &str, fields| ChainEvent {
            pallet: pallet.into(),
            name: name.into(),
            fields,
        };
        let mut events: Vec<ChainEvent> = included
            .iter()
            .map(|id| {
                event(
                    "ParaInclusion",
                    "CandidateIncluded",
                    json!({ "para_id": id }),
                )
            })
            .collect();
        if self.dice.one_in(3) && !self.suffers(Harm::NoTransactions, number) {
            let fails = self.suffers(Harm::Failures, number) && self.dice.roll(5) < 2;
            let name = if fails {
                "ExtrinsicFailed"
            } else {
                "ExtrinsicSuccess"
            };
            events.push(event("System", name, json!(null)));
        }
        let version = if number < UPGRADED { 1 } else { 2 };
        Block {
            number,
            hash: format!("0x{number}"),
            parent: format!("0x{}", number - 1),
            time: Some(Timestamp::from_second(1_800_000_000 + self.second).unwrap()),
            spec_version: version,
            transaction_version: 1,
            proven_version: Some(version),
            session: Some(u32::try_from(number / SESSION_BLOCKS).unwrap()),
            events,
            ..Block::default()
        }
    }
}

/// What is told after the upgrade: the block and the happening, and of parachains their ids.
fn told(
    mut network: Network,
    plan: &Plan,
    sample: &Upgrade,
) -> (Network, Progress, Vec<(u64, Happening, String)>) {
    let chains = [(
        "relay".to_owned(),
        Target {
            spec_version: 2,
            code_hash: None,
        },
    )];
    let upgrade = Upgrade {
        chains: chains.into(),
        ..sample.clone()
    };
    let mut progress = Progress::new(&upgrade);
    let (mut memory, mut told) = (None::<Memory>, Vec::new());
    for number in 1..=LAST {
        let (included, with_core) = network.includes(number);
        let block = network.block(number, &included);
        let Some(before) = memory.as_ref() else {
            memory = Some(Memory::first("0x00".into(), &block));
            continue;
        };
        let (facts, mut after) = reading::read(&block, "relay", before, &Kin::default());
        let finality_lag = network.finality_lag(number);
        let seen = Observed {
            now: block.time.unwrap(),
            finality_lag,
            contiguous: true,
            late: false,
            rules: &plan.rules,
            limits: &plan.limits,
            estimate: &|_| None,
        };
        let at = BlockSeen {
            chain: "relay",
            block: &block,
            memory: &after,
            seen,
        };
        let events = progress.advance(&upgrade, &at, &facts);
        told.extend(
            events
                .into_iter()
                .map(|event| (number, event.happening, event.fact.detail())),
        );
        let chain = progress.chains.get_mut("relay").unwrap();
        if number == UPGRADED {
            chain.learn_pending(number, &PendingChanges::default());
        }
        if let Some(watch) = chain.parachains.as_mut() {
            let suspects = watch.suspects(&after);
            if !suspects.is_empty() && watch.judge(number, &suspects, Some(&with_core)) {
                told.push((
                    number,
                    Happening::ParachainsStopped,
                    watch.missing_in_words(),
                ));
            }
        }
        after.hours.note(&block, &after.pace, Some(finality_lag));
        memory = Some(after);
    }
    (network, progress, told)
}

#[test]
fn no_healthy_network_is_called_otherwise_and_each_hurt_parachain_is_named_in_time() {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let (plan, sample) = (&loaded.config.plan, &loaded.config.upgrades[0].upgrade);
    let as_usual = [
        Happening::Applied,
        Happening::Verified,
        Happening::Completed,
    ];
    for seed in 0..HEALTHY {
        let (network, progress, told) = told(Network::new(seed, false), plan, sample);
        let other: Vec<_> = told
            .iter()
            .filter(|(_, h, _)| !as_usual.contains(h))
            .collect();
        assert!(
            other.is_empty(),
            "seed {seed}: {other:?} of {:?}",
            network.parachains
        );
        assert_eq!(progress.state, State::Completed, "seed {seed}");
    }
    for seed in 0..HURT {
        let (network, _, told) = told(Network::new(seed, true), plan, sample);
        let mut named: BTreeMap<u32, u64> = BTreeMap::new();
        for (number, happening, detail) in &told {
            match happening {
                Happening::ParachainsStopped => {
                    let ids = detail.rsplit(": ").next().unwrap().split(", ");
                    for id in ids {
                        named.entry(id.parse().unwrap()).or_insert(*number);
                    }
                }
                Happening::ParachainsRecovered => {}
                other => assert!(as_usual.contains(other), "seed {seed}: {other:?}"),
            }
        }
        let hurt = network
            .parachains
            .iter()
            .filter_map(|(id, p)| Some((*id, p.hurt?)));
        let hurt: BTreeMap<u32, (u64, u64)> = hurt.collect();
        let ids = |of: &mut dyn Iterator<Item = u32>| of.collect::<Vec<u32>>();
        assert_eq!(
            ids(&mut named.keys().copied()),
            ids(&mut hurt.keys().copied()),
            "seed {seed}: {told:?}"
        );
        for (id, (from, _)) in &hurt {
            assert!(
                named[id] <= from + IN_TIME_BLOCKS,
                "seed {seed}: {id} at {}",
                named[id]
            );
        }
        let all_are_well = hurt.values().all(|(_, until)| *until < LAST);
        let recovered = told
            .iter()
            .any(|(_, h, _)| *h == Happening::ParachainsRecovered);
        assert_eq!(recovered, all_are_well, "seed {seed}: {told:?}");
    }
}

#[test]
fn a_relay_that_is_worse_than_in_its_own_hours_before_is_not_verified_and_operators_hear_why() {
    let loaded = lint::load(&Origin::Embedded).unwrap();
    let (plan, sample) = (&loaded.config.plan, &loaded.config.upgrades[0].upgrade);
    let harms = [
        (Harm::NoTransactions, "blocks have a transaction"),
        (Harm::Failures, "transactions failed"),
        (Harm::SlowBlocks, "a block takes"),
        (Harm::LateFinality, "finality is 15 blocks behind"),
    ];
    for seed in 0..HURT {
        let (harm, reason) = harms[usize::try_from(seed).unwrap() % harms.len()];
        let network = Network {
            harm: Some(harm),
            ..Network::new(seed, false)
        };
        let (_, progress, told) = told(network, plan, sample);
        assert_eq!(progress.state, State::Applied, "seed {seed}: {told:?}");
        let happenings: Vec<Happening> = told.iter().map(|(_, h, _)| *h).collect();
        let expected = [Happening::Applied, Happening::Unverified];
        assert_eq!(happenings, expected, "seed {seed}, {harm:?}: {told:?}");
        assert!(told[1].2.contains(reason), "seed {seed}: {told:?}");
    }
}
