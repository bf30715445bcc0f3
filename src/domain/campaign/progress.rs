//! The phase machine: facts and healthy blocks move an upgrade on.
//!
//! A chain's stage goes waiting → authorized → applying → applied → verified → completed. The
//! upgrade's state is that of its slowest chain, but `authorized` is said with the first one and
//! `applying` while some have applied and some have not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{notes, upgrade::Upgrade};
use crate::domain::{
    chain::{
        fact::Fact,
        fact_kind::FactKind,
        observation::Limits,
        payload::{Payload, ReferendumNews, UnexpectedVersion},
    },
    plan::notice::Happening,
};

pub use super::{
    chain_progress::{BlockSeen, ChainProgress},
    follow_up::Awaited,
    health::{Health, Measurements, Migration, Observed, VerificationRules},
    notes::{Note, Tick},
};
pub use crate::domain::chain::stage::{Stage, State};

/// How far the upgrade has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub state: State,
    pub chains: BTreeMap<String, ChainProgress>,
    /// The moment all chains were seen to have applied, by our own clock: feedback opens here.
    pub applied_at: Option<Timestamp>,
    /// Completed, it is watched until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_until: Option<Timestamp>,
    /// Counted when the feedback window closed.
    pub feedback: Option<crate::domain::people::feedback::Summary>,
    /// The fact that named the block at which an approved referendum's call is dispatched.
    #[serde(default)]
    pub scheduled: Option<Fact>,
    /// The newest word on the referendum.
    #[serde(default)]
    pub referendum: Option<ReferendumNews>,
    /// Ranges of blocks whose events could not be read, the newest last: `paseo: 100 to 2000`.
    #[serde(default)]
    pub unexamined: Vec<String>,
    /// Nothing came of it, and nobody waits any more.
    #[serde(default)]
    pub closed: bool,
    /// The window is open for long and nothing has begun: notices by the clock are held.
    #[serde(default)]
    pub delayed: bool,
    /// The votes on the window, by the number of the window, once they were counted.
    #[serde(default)]
    pub votes: Option<Vec<u32>>,
    /// How many of the roster have answered, and are ready, once they were asked.
    #[serde(default)]
    pub roll: Option<crate::domain::people::roster::ReadinessCount>,
    /// Items of the checklist that are done, by number.
    #[serde(default)]
    pub ticks: BTreeMap<String, Tick>,
    /// Lines that people have added to the status, the newest last.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Notices that were announced before their time.
    #[serde(default)]
    pub announced: BTreeSet<String>,
    /// Feedback is closed by a command, then.
    #[serde(default)]
    pub feedback_closes: Option<Timestamp>,
    /// Happenings that are told once of an upgrade, and were.
    #[serde(default)]
    pub told: BTreeSet<Happening>,
    /// The number of times its window was moved; stores of earlier versions don't know.
    #[serde(default)]
    pub moved: Option<u32>,
    /// The number of times the end of its window alone was moved.
    #[serde(default)]
    pub end_moved: u32,
}

/// Something to announce, and the fact it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignEvent {
    pub happening: Happening,
    pub fact: Fact,
}

impl CampaignEvent {
    /// The event that a fact is by itself, if notices speak of such facts.
    pub fn of(fact: Fact) -> Option<Self> {
        let happening = fact.payload.happening()?;
        Some(Self { happening, fact })
    }
}

/// Ranges of blocks that a status names as not examined.
const MAX_UNEXAMINED_KEPT: usize = 3;

/// The version or the code of an applied or an authorized fact, if the upgrade was not to bring it.
fn unexpected_version(upgrade: &Upgrade, fact: &Fact) -> Option<UnexpectedVersion> {
    let target = upgrade.chains.get(&fact.chain)?;
    match &fact.payload {
        Payload::Applied { .. } => (fact.spec_version < target.spec_version).then(|| {
            fact.downgraded_from().map_or(
                UnexpectedVersion::BelowTarget(target.spec_version),
                UnexpectedVersion::Downgrade,
            )
        }),
        Payload::Authorized { code_hash } => {
            let (code, planned) = (code_hash.clone()?, target.code_hash.clone()?);
            (code != planned).then_some(UnexpectedVersion::Authorized { code, planned })
        }
        _ => None,
    }
}

impl Progress {
    pub fn new(upgrade: &Upgrade) -> Self {
        let chains = upgrade
            .chains
            .keys()
            .map(|name| (name.clone(), ChainProgress::default()))
            .collect();
        Self {
            state: State::Scheduled,
            chains,
            applied_at: None,
            watched_until: None,
            feedback: None,
            scheduled: None,
            referendum: None,
            unexamined: Vec::new(),
            closed: false,
            delayed: false,
            votes: None,
            roll: None,
            ticks: BTreeMap::new(),
            notes: Vec::new(),
            announced: BTreeSet::new(),
            feedback_closes: None,
            told: BTreeSet::new(),
            moved: Some(0),
            end_moved: 0,
        }
    }

    /// Nothing more is to come of this upgrade, if all stays well.
    pub fn finished(&self) -> bool {
        self.closed || (self.state == State::Completed && self.feedback.is_some())
    }

    /// Its chains are followed: more is to come, or it is still watched whether all stays well.
    pub fn is_followed(&self) -> bool {
        !self.finished() || (self.watched_until.is_some() && !self.closed)
    }

    /// Ends the watch over a completed upgrade once its time is over.
    pub fn end_watch(&mut self, now: Timestamp) {
        if self.state == State::Completed {
            self.watched_until.take_if(|until| *until <= now);
        }
    }

    /// Blocks of this chain are counted for something that is to come.
    pub fn counts_on(&self, chain: &str) -> bool {
        self.ahead()
            .any(|fact| fact.expected.as_ref().is_some_and(|e| e.chain == chain))
    }

    fn ahead(&self) -> impl Iterator<Item = &Fact> {
        self.scheduled
            .iter()
            .chain(self.chains.values().filter_map(|c| c.ahead.as_ref()))
    }

    /// Takes a fact, and says what is to be announced of it. The fact may be of a chain whose blocks are read elsewhere.
    pub fn learn(
        &mut self,
        upgrade: &Upgrade,
        fact: &Fact,
        seen: Observed<'_>,
    ) -> Option<CampaignEvent> {
        let mut fact = fact.clone();
        if let Some(expected) = fact.expected.as_mut() {
            expected.estimate = (seen.estimate)(expected);
        }
        if let Some(version) = unexpected_version(upgrade, &fact) {
            fact.payload = Payload::VersionUnexpected(version);
        }
        let is_news = match &fact.payload {
            Payload::Referendum(news) => self.referendum.replace(*news) != Some(*news),
            Payload::Scheduled { .. } => {
                self.scheduled = Some(fact.clone());
                true
            }
            Payload::Dispatched { .. } => {
                self.scheduled = None;
                true
            }
            _ => self.learn_of_chain(upgrade, &fact),
        };
        is_news.then(|| CampaignEvent::of(fact)).flatten()
    }

    /// Takes a fact of one of the upgrade's chains, and says whether it is news.
    fn learn_of_chain(&mut self, upgrade: &Upgrade, fact: &Fact) -> bool {
        let is_withdrawn = self.chains.values().any(|chain| chain.withdrawn);
        let (true, Some(chain)) = (
            upgrade.chains.contains_key(&fact.chain),
            self.chains.get_mut(&fact.chain),
        ) else {
            return false;
        };
        let before = chain.stage;
        let is_news = chain.learn(fact);
        let is_clear = self.state >= State::Verified || is_withdrawn;
        if is_clear && before >= Stage::Verified && chain.stage == Stage::Applied {
            chain.withdrawn = true;
            // Said by every view at once: while a chain stands still, no block brings it.
            self.state = State::Applied;
        }
        match &fact.payload {
            // Told with the first chain, and again where another code takes its place.
            Payload::Authorized { .. } => is_news || self.state < State::Authorized,
            // Told with the first chain; the others follow by edits, but for a block that moves.
            Payload::GoAhead => self.told.insert(Happening::GoAhead) || is_news,
            Payload::TransactionVersion { .. } => self.told.insert(Happening::TransactionVersion),
            Payload::MigrationStarted { .. } => self.told.insert(Happening::MigrationStarted),
            Payload::Reset(_) => {
                self.forget_blocks_of(&fact.chain);
                is_news
            }
            Payload::Unexamined { .. } => {
                self.note_unexamined(fact);
                is_news
            }
            _ => is_news,
        }
    }

    /// Forgets all that is expected at a block of a chain which began again.
    fn forget_blocks_of(&mut self, chain: &str) {
        let counted = |f: &Fact| f.expected.as_ref().is_some_and(|e| e.chain == chain);
        for progress in self.chains.values_mut() {
            progress.ahead.take_if(|fact| counted(fact));
        }
        self.scheduled.take_if(|fact| counted(fact));
    }

    fn note_unexamined(&mut self, fact: &Fact) {
        self.unexamined
            .push(format!("{}: {}", fact.chain, fact.payload));
        let older = self.unexamined.len().saturating_sub(MAX_UNEXAMINED_KEPT);
        self.unexamined.drain(..older);
    }

    /// Moves on by one finalized block of one chain; returns what is to be announced, in order. What it announces
    /// while catching up is marked late.
    pub fn advance(
        &mut self,
        upgrade: &Upgrade,
        at: &BlockSeen<'_>,
        facts: &[Fact],
    ) -> Vec<CampaignEvent> {
        let learned = facts
            .iter()
            .filter_map(|fact| self.learn(upgrade, fact, at.seen));
        let mut events: Vec<CampaignEvent> = learned.collect();
        events.extend(self.drifted(at.chain, at.seen));
        if let Some(target) = upgrade.chains.get(at.chain)
            && let Some(chain) = self.chains.get_mut(at.chain)
        {
            let waiting = [chain.waits(at), chain.is_stuck(at)].into_iter().flatten();
            events.extend(waiting.filter_map(|payload| CampaignEvent::of(at.fact(payload))));
            chain.run(target, at, facts);
            let after = [chain.lingers(at), chain.include(at)].into_iter().flatten();
            events.extend(after.filter_map(|payload| CampaignEvent::of(at.fact(payload))));
            let applied = facts.iter().rfind(|f| f.kind() == FactKind::Applied);
            let applied = applied.cloned();
            let fact = applied.unwrap_or_else(|| at.fact(Payload::Applied { from: None }));
            events.extend(self.settle(&fact, at.seen));
        }
        if at.seen.late {
            events.iter_mut().for_each(|event| event.fact.late = true);
        }
        events
    }

    /// Something that a live post shows is another than `before`: a chain's stage, its migration or its block, or that
    /// the upgrade is delayed.
    pub fn moved_since(&self, before: &Self) -> bool {
        let block = |chain: &ChainProgress| {
            let expected = chain.ahead.as_ref()?.expected.as_ref()?;
            Some(expected.block)
        };
        let step = |chain: &ChainProgress| {
            let migration = chain.migration.as_ref();
            (
                chain.stage,
                migration.map(|m| (m.done, m.total, m.running)),
                block(chain),
                // Until it is known what follows the upgrade, nothing is shown of it.
                chain.awaited().filter(|(awaited, number)| {
                    *awaited != Awaited::PendingConfig || number.is_some()
                }),
                chain
                    .parachains
                    .as_ref()
                    .map(|watch| (watch.stopped.len(), watch.missing().count())),
                chain
                    .pending()
                    .map_or(0, |p| p.configurations.len() + p.calls.len()),
            )
        };
        self.chains.len() != before.chains.len()
            || self.delayed != before.delayed
            || self.chains.iter().any(|(name, now)| {
                let old = before.chains.get(name);
                old.is_some_and(|old| step(old) != step(now))
            })
    }

    /// Known blocks of this chain whose expected time is another by now than was told.
    /// They are all counted on the same blocks, so one word is enough.
    fn drifted(&mut self, chain: &str, seen: Observed<'_>) -> Option<CampaignEvent> {
        let mut moved_first = None;
        for fact in self
            .scheduled
            .iter_mut()
            .chain(self.chains.values_mut().filter_map(|c| c.ahead.as_mut()))
        {
            let Some(expected) = fact.expected.as_mut().filter(|e| e.chain == chain) else {
                continue;
            };
            // When it is there, nothing is estimated any more.
            let Some(now) = (seen.estimate)(expected) else {
                continue;
            };
            let moved = expected
                .estimate
                .is_none_or(|told| now.at.duration_since(told.at).abs() > seen.limits.drift);
            if moved {
                expected.estimate = Some(now);
                moved_first.get_or_insert_with(|| CampaignEvent {
                    happening: Happening::EstimateMoved,
                    fact: fact.clone(),
                });
            }
        }
        moved_first
    }

    /// The upgrade's state from its chains'; each step passed on the way is announced.
    fn settle(&mut self, fact: &Fact, seen: Observed<'_>) -> Vec<CampaignEvent> {
        let slowest = self
            .chains
            .values()
            .map(|c| c.stage)
            .min()
            .unwrap_or(Stage::Waiting);
        let fastest = self
            .chains
            .values()
            .map(|c| c.stage)
            .max()
            .unwrap_or(Stage::Waiting);
        let state = match slowest {
            Stage::Completed => State::Completed,
            Stage::Verified => State::Verified,
            Stage::Applied => State::Applied,
            _ if fastest >= Stage::Applying => State::Applying,
            _ if fastest == Stage::Authorized => State::Authorized,
            _ => State::Scheduled,
        };
        let before = self.state;
        self.state = state;
        // Whatever begins takes a delay back.
        self.delayed &= self.state == State::Scheduled;
        if self.state >= State::Applied && self.applied_at.is_none() {
            self.applied_at = Some(seen.now);
        }
        if self.state == State::Completed && before < State::Completed {
            self.watched_until = seen.now.checked_add(seen.rules.watch_for).ok();
        }
        let first = fastest >= Stage::Applied
            && slowest < Stage::Applied
            && self.told.insert(Happening::FirstApplied);
        let said = [
            (State::Applied, Happening::Applied),
            (State::Verified, Happening::Verified),
            (State::Completed, Happening::Completed),
        ];
        let passed = said
            .into_iter()
            .filter(|(step, _)| *step > before && *step <= self.state)
            .map(|(_, happening)| happening);
        first
            .then_some(Happening::FirstApplied)
            .into_iter()
            .chain(passed)
            .map(|happening| CampaignEvent {
                happening,
                fact: fact.clone(),
            })
            .collect()
    }

    /// The window has been open for long, and nothing was authorized: said once.
    pub fn overdue(&mut self, upgrade: &Upgrade, now: Timestamp, limits: &Limits) -> bool {
        self.still_waits(upgrade, now, limits.overdue_after) && self.told.insert(Happening::Overdue)
    }

    /// Still nothing was authorized long after operators were asked, and nobody has called it off: said once, and notices by the
    /// clock wait from then on.
    pub fn delays(&mut self, upgrade: &Upgrade, now: Timestamp, limits: &Limits) -> bool {
        let begun = self.chains.values().any(|c| c.stage > Stage::Waiting);
        let called_off = upgrade.given_up() || upgrade.poll.is_some() || upgrade.no_go().is_some();
        if begun || called_off || !self.still_waits(upgrade, now, limits.delayed_after) {
            return false;
        }
        self.delayed = true;
        self.told.insert(Happening::Delayed)
    }

    fn still_waits(&self, upgrade: &Upgrade, now: Timestamp, for_long: SignedDuration) -> bool {
        let window = &upgrade.window;
        let open = now < window.closes && now.duration_since(window.opens) > for_long;
        open && self.state == State::Scheduled && !upgrade.unplanned
    }

    /// Adds a line to the status, below the older ones.
    pub fn add_note(&mut self, at: Timestamp, text: String) {
        self.notes.push(Note { at, text });
        let older = self.notes.len().saturating_sub(notes::MAX_NOTES);
        self.notes.drain(..older);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{
        campaign::{
            chain_progress::ChainProgress,
            follow_up::Awaited,
            health::Migration,
            upgrade::{Decision, Poll, Target, Window},
        },
        chain::{
            block::{Block, ChainEvent, Kin},
            block_times::Estimate,
            fact::Expected,
            memory::Memory,
            payload::{PvfCheck, ReferendumStatus, ResetCause},
            pending::{PendingChanges, PendingConfiguration},
        },
    };

    fn upgrade(chains: &[&str]) -> Upgrade {
        let chains = chains.iter().map(|c| (c.to_string(), target(2))).collect();
        Upgrade::new(
            "v2",
            "Two",
            Window {
                opens: at(0),
                closes: at(3600),
            },
            chains,
        )
    }

    fn target(spec_version: u32) -> Target {
        Target {
            spec_version,
            code_hash: None,
        }
    }
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
    fn rules() -> VerificationRules {
        VerificationRules {
            max_finality_lag: 5,
            after: vec![Awaited::Migrations],
            ..VerificationRules::default()
        }
    }

    /// A chain under the machine: blocks six seconds apart, each read as the watcher would.
    struct Play {
        upgrade: Upgrade,
        progress: Progress,
        memories: BTreeMap<String, Memory>,
        second: i64,
        rules: VerificationRules,
        /// The hash in the events that name a code.
        code: &'static str,
        migrating: bool,
    }

    impl Play {
        fn new(chains: &[&str]) -> Self {
            let upgrade = upgrade(chains);
            Self {
                progress: Progress::new(&upgrade),
                upgrade,
                memories: BTreeMap::new(),
                second: 0,
                rules: rules(),
                code: "",
                migrating: false,
            }
        }

        fn block(
            &mut self,
            chain: &str,
            version: u32,
            events: &[(&str, &str)],
            lag: u64,
        ) -> Vec<&'static str> {
            self.second += 6;
            let block = Block {
                number: u64::try_from(self.second / 6).unwrap(),
                hash: format!("0x{}", self.second),
                time: Some(at(self.second)),
                spec_version: version,
                transaction_version: 1,
                proven_version: Some(version),
                migrating: self.migrating,
                events: events
                    .iter()
                    .map(|(pallet, name)| ChainEvent {
                        pallet: pallet.to_string(),
                        name: name.to_string(),
                        fields: serde_json::json!({ "code_hash": self.code }),
                    })
                    .collect(),
                ..Block::default()
            };
            let memory = self
                .memories
                .entry(chain.into())
                .or_insert_with(|| Memory::first("0x".into(), &block));
            let (facts, after) = block.read(chain, memory, &Kin::default());
            *memory = after;
            let seen = Observed {
                now: at(self.second),
                finality_lag: lag,
                contiguous: true,
                late: false,
                rules: &self.rules,
                limits: &Limits::default(),
                estimate: &|_| None,
            };
            let known = memory.clone();
            memory.hours.note(&block, &memory.pace, Some(lag));
            let at = BlockSeen {
                chain,
                block: &block,
                memory: &known,
                seen,
            };
            let events = self.progress.advance(&self.upgrade, &at, &facts);
            events.into_iter().map(|e| e.happening.name()).collect()
        }

        fn blocks(&mut self, chain: &str, version: u32, number: usize) -> Vec<&'static str> {
            (0..number)
                .flat_map(|_| self.block(chain, version, &[], 0))
                .collect()
        }
    }

    #[test]
    fn one_chain_goes_through_every_step_and_each_is_said_once() {
        let mut play = Play::new(&["relay"]);
        assert!(play.blocks("relay", 1, 2).is_empty());
        assert_eq!(
            play.block("relay", 1, &[("System", "UpgradeAuthorized")], 0),
            ["authorized"]
        );
        assert!(
            play.block("relay", 1, &[("System", "CodeUpdated")], 0)
                .is_empty(),
            "the event alone proves nothing"
        );
        assert_eq!(play.progress.state, State::Applying);
        assert_eq!(play.progress.applied_at, None);
        assert_eq!(play.block("relay", 2, &[], 0), ["applied"]);
        let record = play.progress.chains["relay"].record.clone().unwrap();
        assert_eq!((record.before.blocks, record.gaps_before), (3, vec![60; 4]));
        assert_eq!(play.blocks("relay", 2, 30), ["verified", "completed"]);
        assert_eq!(play.progress.state, State::Completed);
        assert_eq!(play.progress.applied_at, Some(at(30)));
    }

    #[test]
    fn without_authorization_none_is_claimed() {
        let mut play = Play::new(&["relay"]);
        play.blocks("relay", 1, 2);
        play.block("relay", 1, &[("System", "CodeUpdated")], 0);
        assert_eq!(play.block("relay", 2, &[], 0), ["applied"]);
    }

    #[test]
    fn another_code_than_the_file_names_is_told_at_its_authorization_and_is_never_verified() {
        let authorized = [("System", "UpgradeAuthorized")];
        let mut play = Play::new(&["relay"]);
        let planned = Target {
            code_hash: Some("0xcd".to_owned()),
            ..target(2)
        };
        play.upgrade.chains.insert("relay".into(), planned);
        play.blocks("relay", 1, 2);
        play.code = "0xab";
        assert_eq!(
            play.block("relay", 1, &authorized, 0),
            ["version_unexpected"]
        );
        assert_eq!(play.progress.state, State::Scheduled);
        play.code = "0xcd";
        assert_eq!(play.block("relay", 1, &authorized, 0), ["authorized"]);
        assert_eq!(play.progress.state, State::Authorized);
        play.code = "0xab";
        assert_eq!(
            play.block("relay", 1, &authorized, 0),
            ["version_unexpected"]
        );
        assert_eq!(play.progress.state, State::Scheduled);

        assert_eq!(play.block("relay", 2, &[], 0), ["applied"]);
        let chain = play.progress.chains.get_mut("relay").unwrap();
        chain.record.as_mut().unwrap().code = Some("0xab".to_owned());
        assert_eq!(play.blocks("relay", 2, 60), ["unverified"]);
        assert_eq!(play.progress.state, State::Applied);
    }

    #[test]
    fn several_chains_are_done_when_the_last_one_is() {
        let mut play = Play::new(&["people", "relay"]);
        play.blocks("relay", 1, 1);
        play.blocks("people", 1, 1);
        assert_eq!(play.block("relay", 2, &[], 0), ["first_applied"]);
        assert_eq!(play.progress.state, State::Applying);
        assert!(
            play.blocks("relay", 2, 30).is_empty(),
            "the other chain is still to come"
        );
        assert_eq!(play.block("people", 2, &[], 0), ["applied"]);
        assert_eq!(play.blocks("people", 2, 30), ["verified", "completed"]);
    }

    #[test]
    fn a_gap_a_lag_or_failures_start_the_watch_anew() {
        let mut play = Play::new(&["relay"]);
        play.blocks("relay", 1, 1);
        play.block("relay", 2, &[], 0);
        play.blocks("relay", 2, 9);
        play.second += 60; // no block for a minute
        assert!(play.blocks("relay", 2, 9).is_empty());
        play.block("relay", 2, &[], 99); // finality is behind
        let long_after = play.blocks("relay", 2, 9);
        assert_eq!(long_after, ["unverified"], "operators hear of it once");
        let failing = [("System", "ExtrinsicFailed"); 10];
        play.block("relay", 2, &failing, 0);
        let health = play.progress.chains["relay"].health.clone().unwrap();
        assert_eq!(
            (health.restarts, health.trouble.as_deref()),
            (3, Some("10 of 10 transactions failed"))
        );
        assert_eq!(play.blocks("relay", 2, 10), ["verified"]);
    }

    #[test]
    fn trouble_after_verified_is_told_to_operators_once_and_keeps_completed_back() {
        let mut play = Play::new(&["relay"]);
        play.blocks("relay", 1, 1);
        play.block("relay", 2, &[], 0);
        assert_eq!(play.blocks("relay", 2, 10), ["verified"]);
        for _ in 0..2 {
            play.second += 60; // no block for a minute
            play.blocks("relay", 2, 5);
        }
        let chain = &play.progress.chains["relay"];
        assert_eq!(
            (chain.unverified, play.progress.state),
            (true, State::Verified)
        );
        assert!(play.blocks("relay", 2, 15).is_empty());
        assert_eq!(play.blocks("relay", 2, 1), ["completed"]);

        let mut again = Play::new(&["relay"]);
        again.blocks("relay", 1, 1);
        again.block("relay", 2, &[], 0);
        again.blocks("relay", 2, 10);
        again.second += 60;
        assert_eq!(again.blocks("relay", 2, 5), ["unverified"]);
    }

    #[test]
    fn what_was_well_while_something_was_awaited_says_nothing_of_what_follows() {
        let transaction = [("System", "ExtrinsicSuccess")];
        let mut play = Play::new(&["relay"]);
        play.rules.after = vec![Awaited::Migrations];
        for n in 0..100 {
            play.migrating = n > 40;
            play.block("relay", 1 + u32::from(n >= 40), &transaction, 0);
        }
        play.migrating = false;
        assert!(!play.blocks("relay", 2, 60).contains(&"verified"));
        assert_eq!(play.progress.state, State::Applied);
    }

    #[test]
    fn a_chain_whose_transactions_fall_to_none_is_told_and_not_verified_and_a_quiet_one_is_verified()
     {
        let transaction = [("System", "ExtrinsicSuccess")];
        let play = |busy_every: usize| {
            let mut play = Play::new(&["relay"]);
            for n in 0..40 {
                let busy = n % busy_every == 0;
                play.block("relay", 1, if busy { &transaction } else { &[] }, 0);
            }
            play.block("relay", 2, &[], 0);
            play
        };
        let mut fallen = play(1);
        assert_eq!(fallen.blocks("relay", 2, 60), ["unverified"]);
        assert_eq!(fallen.progress.state, State::Applied);
        let health = fallen.progress.chains["relay"].health.clone().unwrap();
        let why =
            "0 of 36 blocks have a transaction; in the quietest hour before, about 35 had one";
        assert_eq!(health.trouble.as_deref(), Some(why));
        for _ in 0..15 {
            fallen.block("relay", 2, &transaction, 0);
        }
        assert_eq!(fallen.progress.state, State::Verified);

        assert_eq!(play(20).blocks("relay", 2, 10), ["verified"]);
    }

    #[test]
    fn a_version_taken_back_is_not_called_verified() {
        let mut play = Play::new(&["relay"]);
        play.blocks("relay", 1, 1);
        assert_eq!(play.block("relay", 2, &[], 0), ["applied"]);
        play.blocks("relay", 2, 3);
        assert_eq!(play.block("relay", 1, &[], 0), ["version_unexpected"]);
        assert!(play.blocks("relay", 1, 40).is_empty());
        assert_eq!(play.progress.state, State::Scheduled);
    }

    #[test]
    fn another_version_is_named_and_completes_nothing() {
        let mut play = Play::new(&["relay"]);
        play.upgrade.chains.insert("relay".into(), target(3));
        play.blocks("relay", 1, 1);
        assert_eq!(play.block("relay", 2, &[], 0), ["version_unexpected"]);
        assert!(play.blocks("relay", 2, 40).is_empty());
        assert_eq!(play.block("relay", 3, &[], 0), ["applied"]);
    }

    /// Its window opens at minute 0 and closes after three hours.
    fn short_upgrade() -> Upgrade {
        let chains = BTreeMap::from([(
            "relay".to_owned(),
            Target {
                spec_version: 2,
                code_hash: None,
            },
        )]);
        Upgrade::new(
            "v2",
            "Two",
            Window {
                opens: minute(0),
                closes: minute(180),
            },
            chains,
        )
    }

    fn minute(n: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + n * 60).unwrap()
    }

    #[test]
    fn operators_are_asked_and_then_a_delay_is_said_once() {
        let (upgrade, limits) = (short_upgrade(), Limits::default());
        let mut progress = Progress::new(&upgrade);
        assert!(
            !progress.overdue(&upgrade, minute(30), &limits)
                && progress.overdue(&upgrade, minute(31), &limits)
        );
        assert!(!progress.delays(&upgrade, minute(60), &limits) && !progress.delayed);
        assert!(progress.delays(&upgrade, minute(61), &limits) && progress.delayed);
        assert!(!progress.delays(&upgrade, minute(90), &limits), "said once");
        assert!(!progress.overdue(&upgrade, minute(90), &limits));
    }

    #[test]
    fn what_began_or_was_called_off_is_not_delayed() {
        let (planned, limits) = (short_upgrade(), Limits::default());
        let delays =
            |upgrade: &Upgrade, at| Progress::new(upgrade).delays(upgrade, minute(at), &limits);
        assert!(delays(&planned, 61));
        assert!(!delays(&planned, 180), "the window is over");
        assert!(!delays(
            &Upgrade {
                decision: Some(Decision::NoGo("a fault".into())),
                ..planned.clone()
            },
            61
        ));
        assert!(!delays(
            &Upgrade {
                cancelled: Some("a fault".into()),
                ..planned.clone()
            },
            61
        ));
        assert!(!delays(
            &Upgrade {
                unplanned: true,
                ..planned.clone()
            },
            61
        ));
        let mut begun = Progress::new(&planned);
        begun
            .chains
            .values_mut()
            .for_each(|c| c.stage = Stage::Authorized);
        assert!(!begun.delays(&planned, minute(61), &limits) && !begun.delayed);
    }

    /// Has a block seen by rules of its own, with such an estimate of blocks to come.
    fn observed<T>(
        estimate: &(dyn Fn(&Expected) -> Option<Estimate> + Sync),
        then: impl FnOnce(Observed<'_>) -> T,
    ) -> T {
        then(Observed {
            now: at(0),
            finality_lag: 0,
            contiguous: true,
            late: false,
            rules: &rules(),
            limits: &Limits::default(),
            estimate,
        })
    }

    fn fact(chain: &str, payload: Payload) -> Fact {
        Fact::of(&Block::default(), payload, chain, 1)
    }

    fn expected(chain: &str, block: u64, told: Option<i64>) -> Option<Expected> {
        Some(Expected {
            chain: chain.to_owned(),
            block,
            estimate: told.map(estimate),
        })
    }

    fn estimate(second: i64) -> Estimate {
        Estimate {
            at: at(second),
            band: SignedDuration::ZERO,
        }
    }

    fn learn(progress: &mut Progress, fact: &Fact) -> Option<CampaignEvent> {
        let upgrade = upgrade(&["people", "relay"]);
        observed(&|_| Some(estimate(9)), |seen| {
            progress.learn(&upgrade, fact, seen)
        })
    }

    #[test]
    fn each_piece_of_news_is_told_and_no_other() {
        let authorized = |code: &str| Payload::Authorized {
            code_hash: Some(code.to_owned()),
        };
        let referendum = |status| Payload::Referendum(ReferendumNews { index: 7, status });
        let dispatched = |result: Result<(), String>| Payload::Dispatched {
            referendum: Some(7),
            result,
        };
        let version = || Payload::TransactionVersion { from: 1, to: 2 };
        let started = || Payload::MigrationStarted { migrations: None };
        let stalled = || Payload::Stalled { seconds: 200 };
        let error = || "BadOrigin".to_owned();
        let steps = [
            ("hub", referendum(ReferendumStatus::Deciding), "referendum"),
            ("hub", referendum(ReferendumStatus::Deciding), ""),
            ("hub", referendum(ReferendumStatus::Approved), "referendum"),
            ("hub", Payload::Scheduled { referendum: 7 }, "scheduled"),
            ("hub", dispatched(Err(error())), "dispatch_failed"),
            ("hub", dispatched(Ok(())), "dispatched"),
            ("hub", stalled(), ""),
            ("people", authorized("0xab"), "authorized"),
            ("people", Payload::GoAhead, "go_ahead"),
            ("relay", Payload::GoAhead, ""),
            ("people", Payload::GoAhead, "go_ahead"),
            ("people", version(), "transaction_version"),
            ("relay", version(), ""),
            ("people", started(), "migration_started"),
            ("relay", started(), ""),
            ("relay", stalled(), "stalled"),
            ("relay", Payload::Recovered, "recovered"),
            ("relay", Payload::Recovered, ""),
            ("relay", Payload::PvfCheck(PvfCheck::Accepted), ""),
            (
                "relay",
                Payload::PvfCheck(PvfCheck::Rejected),
                "pvf_rejected",
            ),
            (
                "relay",
                Payload::SudoFailed { error: error() },
                "sudo_failed",
            ),
            (
                "relay",
                Payload::CodeRefused { error: error() },
                "code_refused",
            ),
            (
                "relay",
                Payload::Applied { from: Some(3) },
                "version_unexpected",
            ),
            ("relay", Payload::MigrationCompleted, ""),
        ];
        let mut progress = Progress::new(&upgrade(&["people", "relay"]));
        for (n, (chain, payload, told)) in steps.into_iter().enumerate() {
            let event = learn(&mut progress, &fact(chain, payload));
            let event = event.map_or("", |event| event.happening.name());
            assert_eq!(event, told, "step {n}");
            assert_eq!(progress.scheduled.is_some(), n == 3, "step {n}");
        }
        // Another chain's code is told as long as nothing else was; one in another's place is told always.
        let mut told = |code, state| {
            progress.state = state;
            learn(&mut progress, &fact("relay", authorized(code))).is_some()
        };
        assert!(told("0xab", State::Scheduled));
        assert!(!told("0xab", State::Authorized));
        assert!(told("0xcd", State::Authorized));
    }

    #[test]
    fn an_applied_version_below_the_target_says_what_it_is() {
        let mut progress = Progress::new(&upgrade(&["relay"]));
        let mut told = |from, spec_version| {
            let fact = Fact {
                spec_version,
                ..fact("relay", Payload::Applied { from })
            };
            Some(learn(&mut progress, &fact)?.fact.detail())
        };
        assert_eq!(told(Some(0), 1).as_deref(), Some("the target is 2"));
        assert_eq!(told(Some(3), 1).as_deref(), Some("a downgrade from 3"));
        assert_eq!(told(Some(1), 2), None, "the state that follows is told");
    }

    #[test]
    fn a_chain_that_begins_again_takes_along_what_was_counted_on_its_blocks() {
        let mut progress = Progress::new(&upgrade(&["people", "relay"]));
        let counted = |chain: &str, counted_on: &str| Fact {
            expected: expected(counted_on, 50, None),
            ..fact(chain, Payload::GoAhead)
        };
        learn(&mut progress, &counted("people", "relay"));
        learn(&mut progress, &counted("relay", "hub"));
        let ahead = progress.chains["people"].ahead.clone().unwrap();
        assert_eq!(ahead.expected, expected("relay", 50, Some(9)));
        progress.scheduled = Some(counted("hub", "relay"));
        let counts = |progress: &Progress| ["relay", "hub"].map(|c| progress.counts_on(c));
        assert_eq!(counts(&progress), [true, true]);
        let reset = || Payload::Reset(ResetCause::OtherGenesis("0x00".into()));
        learn(&mut progress, &fact("people", reset()));
        assert_eq!(counts(&progress), [true, true]);
        assert!(learn(&mut progress, &fact("relay", reset())).is_some());
        assert_eq!(progress.scheduled, None);
        assert_eq!(counts(&progress), [false, false]);

        progress.scheduled = Some(counted("hub", "relay"));
        progress.chains.get_mut("people").unwrap().ahead = Some(counted("people", "hub"));
        learn(&mut progress, &fact("relay", reset()));
        assert_eq!(counts(&progress), [false, true]);
    }

    #[test]
    fn the_status_keeps_the_newest_lines() {
        let mut progress = Progress::new(&upgrade(&["relay"]));
        for n in 1..=5 {
            progress.add_note(at(n), n.to_string());
            let from = u64::try_from(n).unwrap();
            let payload = Payload::Unexamined { from, to: 9 };
            assert!(learn(&mut progress, &fact("relay", payload)).is_some());
        }
        let notes: Vec<&str> = progress.notes.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(notes, ["3", "4", "5"]);
        let ranges = ["relay: 3 to 9", "relay: 4 to 9", "relay: 5 to 9"];
        assert_eq!(progress.unexamined, ranges);
    }

    #[test]
    fn an_estimate_that_moved_by_more_than_the_limit_is_told_anew() {
        // The estimate as it was told and as it is now; the limit is ten minutes.
        let cases = [
            (None, Some(0), true),
            (Some(0), Some(600), false),
            (Some(0), Some(601), true),
            (Some(601), Some(0), true),
            (Some(0), None, false),
        ];
        for (told, now, is_moved) in cases {
            let mut progress = Progress::new(&upgrade(&["people", "relay"]));
            progress.scheduled = Some(Fact {
                expected: expected("relay", 40, told),
                ..fact("hub", Payload::Scheduled { referendum: 7 })
            });
            let people = progress.chains.get_mut("people").unwrap();
            people.ahead = Some(Fact {
                expected: expected("relay", 50, told),
                ..fact("people", Payload::GoAhead)
            });
            let drifted = |progress: &mut Progress, chain| {
                observed(&|_| now.map(estimate), |seen| progress.drifted(chain, seen))
            };
            assert_eq!(drifted(&mut progress, "hub"), None);
            let event = drifted(&mut progress, "relay");
            let first = progress.scheduled.clone().filter(|_| is_moved);
            let happening = Happening::EstimateMoved;
            let expected_event = first.map(|fact| CampaignEvent { happening, fact });
            assert_eq!(event, expected_event, "{told:?} {now:?}");
            let known = if is_moved { now } else { told };
            let ahead = progress.chains["people"].ahead.clone().unwrap();
            assert_eq!(ahead.expected, expected("relay", 50, known));
        }
    }

    #[test]
    fn an_all_clear_is_withdrawn_of_each_chain_that_had_it() {
        // The upgrade's state, the stages of the two chains, and whether the stall of the first takes an all-clear back.
        let cases = [
            (State::Verified, Stage::Verified, Stage::Verified, true),
            (State::Completed, Stage::Completed, Stage::Verified, true),
            (State::Applied, Stage::Verified, Stage::Applied, false),
            (State::Applied, Stage::Applied, Stage::Applied, false),
            (State::Applying, Stage::Applying, Stage::Applied, false),
        ];
        for (state, first, second, is_withdrawn) in cases {
            let upgrade = upgrade(&["people", "relay"]);
            let mut progress = Progress::new(&upgrade);
            progress.state = state;
            for (name, stage) in [("relay", first), ("people", second)] {
                let chain = progress.chains.get_mut(name).unwrap();
                (chain.stage, chain.health) = (stage, Some(Health::new(at(0))));
            }
            let mut stalls = |name: &str| {
                let stalled = fact(name, Payload::Stalled { seconds: 200 });
                observed(&|_| None, |seen| {
                    progress.learn(&upgrade, &stalled, seen);
                });
                (progress.chains[name].withdrawn, progress.state)
            };
            let after = if is_withdrawn { State::Applied } else { state };
            assert_eq!(
                stalls("relay"),
                (is_withdrawn, after),
                "{state:?} {first:?}"
            );
            // So is the other chain's, once one is withdrawn.
            let other = second == Stage::Verified;
            assert_eq!(stalls("people").0, other, "{state:?} {first:?}");
        }
    }

    #[test]
    fn a_live_post_is_written_anew_when_what_it_shows_is_another() {
        type Case = (bool, fn(&mut Progress));
        fn chain(progress: &mut Progress) -> &mut ChainProgress {
            progress.chains.get_mut("relay").unwrap()
        }
        fn ahead(block: u64) -> Option<Fact> {
            Some(Fact {
                expected: expected("relay", block, None),
                ..fact("relay", Payload::GoAhead)
            })
        }
        fn waits(progress: &mut Progress, awaited: Awaited) {
            let chain = chain(progress);
            chain.stage = Stage::Applied;
            chain.record = Some(Measurements::default());
            chain.awaited = Some(awaited);
        }
        fn follows(progress: &mut Progress, sessions: &[u32], calls: &[u64]) {
            let configuration = |session: &u32| PendingConfiguration {
                session: *session,
                changes: Vec::new(),
            };
            let pending = PendingChanges {
                configurations: sessions.iter().map(configuration).collect(),
                calls: calls.to_vec(),
                ..PendingChanges::default()
            };
            let record = chain(progress).record.get_or_insert_default();
            record.follow_up.pending = Some(pending);
        }
        let unread = |awaited| {
            let mut before = Progress::new(&upgrade(&["relay"]));
            waits(&mut before, awaited);
            let mut now = before.clone();
            chain(&mut now).awaited = None;
            now.moved_since(&before)
        };
        let shown = [Awaited::PendingConfig, Awaited::Era].map(unread);
        assert_eq!(shown, [false, true], "what is not read yet is not shown");
        let cases: [Case; 11] = [
            (false, |_| {}),
            (true, |p| follows(p, &[8], &[])),
            (true, |p| follows(p, &[8], &[150])),
            (false, |p| follows(p, &[], &[])),
            (true, |p| chain(p).stage = Stage::Verified),
            (true, |p| chain(p).ahead = ahead(51)),
            (false, |p| chain(p).ahead = ahead(50)),
            (true, |p| {
                chain(p).migration = Some(Migration::begun(None, 1));
            }),
            (true, |p| p.delayed = true),
            (true, |p| {
                p.chains.insert("people".into(), ChainProgress::default());
            }),
            (false, |p| chain(p).unverified = true),
        ];
        for (n, (is_moved, change)) in cases.into_iter().enumerate() {
            let mut before = Progress::new(&upgrade(&["relay"]));
            chain(&mut before).ahead = ahead(50);
            let mut now = before.clone();
            change(&mut now);
            assert_eq!(now.moved_since(&before), is_moved, "case {n}");
        }
    }

    #[test]
    fn what_a_block_shows_is_marked_late_while_catching_up() {
        for late in [false, true] {
            let (upgrade, rules, limits) = (upgrade(&["relay"]), rules(), Limits::default());
            let mut progress = Progress::new(&upgrade);
            let block = Block::default();
            let memory = Memory {
                running: 2,
                ..Memory::first("0x".into(), &block)
            };
            let seen = Observed {
                now: at(5),
                finality_lag: 0,
                contiguous: true,
                late,
                rules: &rules,
                limits: &limits,
                estimate: &|_| None,
            };
            let at_block = BlockSeen {
                chain: "relay",
                block: &block,
                memory: &memory,
                seen,
            };
            let applied = at_block.fact(Payload::Applied { from: Some(1) });
            let facts = [applied.clone(), at_block.fact(Payload::CodeStored)];
            let events = progress.advance(&upgrade, &at_block, &facts);
            let told = CampaignEvent {
                happening: Happening::Applied,
                fact: Fact { late, ..applied },
            };
            assert_eq!(events, [told]);
        }
    }

    #[test]
    fn waiting_code_and_stuck_migrations_are_told_by_the_block() {
        let mut play = Play::new(&["relay"]);
        play.block("relay", 1, &[("System", "UpgradeAuthorized")], 0);
        let told = |play: &mut Play| play.blocks("relay", 1, 700);
        assert_eq!(told(&mut play), ["unapplied"]);
        let chain = play.progress.chains.get_mut("relay").unwrap();
        chain.migration = Some(Migration::begun(None, 0));
        assert!(told(&mut play).is_empty(), "no migration runs");
    }

    #[test]
    fn an_upgrade_is_finished_when_nothing_more_is_to_come() {
        type Case = (bool, fn(&mut Progress));
        let cases: [Case; 5] = [
            (false, |_| {}),
            (true, |p| p.closed = true),
            (false, |p| p.state = State::Completed),
            (false, |p| p.feedback = Some(Default::default())),
            (true, |p| {
                (p.state, p.feedback) = (State::Completed, Some(Default::default()));
            }),
        ];
        for (n, (is_finished, change)) in cases.into_iter().enumerate() {
            let mut progress = Progress::new(&upgrade(&["relay"]));
            change(&mut progress);
            assert_eq!(progress.finished(), is_finished, "case {n}");
            assert_eq!(progress.is_followed(), !is_finished, "case {n}");
            // While it is watched it is followed, unless it is closed.
            progress.watched_until = Some(at(10));
            assert_eq!(progress.is_followed(), !progress.closed, "case {n}");
            progress.end_watch(at(9));
            assert_eq!(progress.watched_until, Some(at(10)));
            progress.end_watch(at(10));
            let is_over = progress.state == State::Completed;
            assert_eq!(progress.watched_until.is_none(), is_over, "case {n}");
        }
    }

    #[test]
    fn a_delay_is_of_what_is_planned_and_waits_and_ends_when_something_begins() {
        let (planned, limits) = (short_upgrade(), Limits::default());
        let mut voting = planned.clone();
        voting.poll = Some(Poll {
            windows: Vec::new(),
            decide_by: minute(0),
        });
        let mut progress = Progress::new(&voting);
        assert!(!progress.delays(&voting, minute(61), &limits) && !progress.delayed);
        progress.state = State::Authorized;
        assert!(!progress.overdue(&planned, minute(61), &limits));

        let mut play = Play::new(&["relay"]);
        play.progress.delayed = true;
        play.blocks("relay", 1, 1);
        assert!(play.progress.delayed, "nothing has begun");
        play.block("relay", 1, &[("System", "UpgradeAuthorized")], 0);
        assert!(!play.progress.delayed);
    }
}
