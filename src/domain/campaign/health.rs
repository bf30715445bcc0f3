//! How a chain fares around its upgrade: its health, its migrations, and what was measured.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    comparison::Run,
    follow_up::{Awaited, FollowUp},
    slis::{CountedBlock, Slis},
};
use crate::domain::chain::{
    block::Block,
    block_times::{Estimate, Pace, SIX_SECONDS, Stretch, TIMES_USUAL_GAP, tenths, usual_gap},
    fact::Expected,
    hours::Baseline,
    observation::Limits,
};

/// How long and how well a chain must run before an upgrade is called verified, and then completed.
#[derive(Clone, Debug, PartialEq)]
pub struct VerificationRules {
    pub healthy_for: SignedDuration,
    pub complete_after: SignedDuration,
    /// How long trouble is told after "completed".
    pub watch_for: SignedDuration,
    pub max_block_gap: SignedDuration,
    /// In blocks of six seconds.
    pub max_finality_lag: u64,
    /// The share of all transactions since, 0 to 1.
    pub max_failed_share: f64,
    pub min_transactions: u32,
    /// How many times worse than in the worst hour before a chain may be.
    pub worse_than_before: f64,
    /// The least share of blocks by which each of the community's indicators has to be met, 0 to 1, where they are asked for.
    pub slis: Option<f64>,
    /// What has to be over before the time of health begins.
    pub after: Vec<Awaited>,
}

/// How a block was seen: what is not in the block itself.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// Our own clock, for what people wait for.
    pub now: Timestamp,
    /// Best minus finalized, in blocks.
    pub finality_lag: u64,
    /// The block before it was read as well: if not, what lies between is not known to be a gap.
    pub contiguous: bool,
    /// The block is long over: it is read while catching up.
    pub late: bool,
    pub rules: &'a VerificationRules,
    pub limits: &'a Limits,
    /// Estimates when a block of a chain is to be expected.
    pub estimate: &'a (dyn Fn(&Expected) -> Option<Estimate> + Sync),
}

/// Health since the upgrade was applied, or since the last trouble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The block's clock at which this stretch began.
    pub since: Timestamp,
    pub last: Timestamp,
    /// Blocks, and those of which the events are known.
    #[serde(default)]
    pub made: u32,
    pub blocks: u32,
    /// Blocks with a transaction.
    #[serde(default)]
    pub busy: u32,
    pub transactions: u32,
    pub failed: u32,
    /// Seconds.
    pub longest_gap: i64,
    /// How often the stretch began again, and why last.
    pub restarts: u32,
    pub trouble: Option<String>,
    /// The last block's time at which something was still awaited, or doubtful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited_until: Option<Timestamp>,
    #[serde(default)]
    pub slis: Slis,
}

impl Health {
    pub(super) fn new(at: Timestamp) -> Self {
        Self {
            since: at,
            last: at,
            made: 0,
            blocks: 0,
            busy: 0,
            transactions: 0,
            failed: 0,
            longest_gap: 0,
            restarts: 0,
            trouble: None,
            awaited_until: None,
            slis: Slis::default(),
        }
    }

    /// Begins the stretch with the last block, where what came before says nothing of what comes.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            restarts: self.restarts,
            trouble: self.trouble.take(),
            ..Self::new(self.last)
        };
    }

    /// Length of the healthy stretch in which nothing was awaited any more, by the chain's clock.
    pub fn length(&self) -> SignedDuration {
        let since = self
            .awaited_until
            .map_or(self.since, |until| until.max(self.since));
        self.last.duration_since(since)
    }

    /// Takes one more block. `record` holds how the chain did before the upgrade.
    pub(super) fn observe(
        &mut self,
        block: &Block,
        seen: Observed<'_>,
        record: Option<&Measurements>,
    ) {
        let rules = seen.rules;
        let before = record.map(|record| &record.before);
        let usual = record.map_or(SignedDuration::ZERO, |r| usual_gap(&r.gaps_before));
        let longest_gap = rules.max_block_gap.max(usual * TIMES_USUAL_GAP);
        // A chain without a clock of its own is timed by ours.
        let time = block.time.unwrap_or(seen.now);
        let mut gap = time.duration_since(self.last);
        if !seen.contiguous {
            // What was not seen is neither a gap nor a time of health.
            self.since = self.since.checked_add(gap).unwrap_or(time);
            let awaited = self.awaited_until;
            self.awaited_until = awaited.map(|at| at.checked_add(gap).unwrap_or(time));
            gap = SignedDuration::ZERO;
        }
        let lag = before.map_or(seen.finality_lag, |b| b.in_six_seconds(seen.finality_lag));
        let (succeeded, failed) = block.transactions();
        self.last = time;
        self.made += 1;
        // A block of which no events are known says nothing of transactions.
        self.blocks += u32::from(!block.without_events);
        self.busy += u32::from(succeeded + failed > 0);
        self.transactions += succeeded + failed;
        self.failed += failed;
        self.longest_gap = self.longest_gap.max(gap.as_secs());
        self.count_slis(time, gap, seen, record);
        let share = f64::from(self.failed) / f64::from(self.transactions.max(1));
        let trouble = if gap > longest_gap {
            Some(format!("no block for {} s", gap.as_secs()))
        } else if lag > rules.max_finality_lag {
            Some(format!("finality is {} blocks behind", seen.finality_lag))
        } else if self.transactions >= 10 && share > rules.max_failed_share {
            Some(format!(
                "{} of {} transactions failed",
                self.failed, self.transactions
            ))
        } else if let Some(share) = rules.slis.filter(|share| self.slis.is_below(*share)) {
            let shares = self.slis.shares().map(|shares| shares.to_string());
            Some(format!(
                "an SLI was below {:.0} %: {}",
                share * 100.0,
                shares.unwrap_or_default()
            ))
        } else {
            let compared = record.and_then(|record| record.baseline);
            compared.and_then(|before| {
                self.run(seen.finality_lag, lag)
                    .trouble(&before, rules.worse_than_before)
            })
        };
        if trouble.is_some() {
            *self = Self {
                restarts: self.restarts + 1,
                trouble,
                awaited_until: self.awaited_until,
                ..Self::new(time)
            };
        }
    }

    /// Counts the block for the community's indicators. What was not seen in time says nothing of them.
    fn count_slis(
        &mut self,
        made: Timestamp,
        gap: SignedDuration,
        seen: Observed<'_>,
        record: Option<&Measurements>,
    ) {
        let usual = record.and_then(|record| record.before.mean());
        let baseline = record.and_then(|record| record.baseline);
        let block = CountedBlock {
            made,
            seen: seen.now,
            gap,
            usual_seconds: usual.unwrap_or(SIX_SECONDS),
            usual_lag_seconds: baseline.map_or(0.0, |before| before.lag_seconds()),
        };
        if seen.rules.slis.is_none() || !seen.contiguous || block.is_long_over() {
            self.slis = Slis::default();
            return;
        }
        self.slis.count(block);
    }

    /// The stretch in figures, with finality so many blocks behind now.
    fn run(&self, lag: u64, lag_in_six_seconds: u64) -> Run {
        Run {
            blocks: self.made,
            length: self.last.duration_since(self.since),
            examined: self.blocks,
            busy: self.busy,
            transactions: self.transactions,
            failed: self.failed,
            lag,
            lag_in_six_seconds,
        }
    }

    /// Says that it is doubtful whether transactions come, and succeed, as they did.
    pub(super) fn doubt(&self, rules: &VerificationRules, before: &Baseline) -> Option<String> {
        self.run(0, 0).doubt(before, rules.worse_than_before)
    }

    /// Says that one of the community's indicators is not met, where they are asked for.
    pub(super) fn unmet_sli(&self, rules: &VerificationRules) -> Option<String> {
        let share = rules.slis.filter(|share| !self.slis.is_met(*share))?;
        let known = self.slis.shares().map(|shares| shares.to_string());
        let known = known.unwrap_or_else(|| "too few blocks were counted".to_owned());
        Some(format!(
            "not every SLI is at {:.0} %: {known}",
            share * 100.0
        ))
    }
}

/// Multi-block migrations under way, or behind: applied is not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// How many there are, if their beginning was seen.
    pub total: Option<u32>,
    /// The one that moved last, counted from 1; all of them in the end.
    pub done: u32,
    /// The block of the last step.
    pub moved: u64,
    /// Has a cursor.
    pub running: bool,
    /// People were told that it is stuck.
    pub stuck: bool,
}

impl Migration {
    /// Migrations that are seen to begin, or to be under way, at a block.
    pub(super) fn begun(total: Option<u32>, block: u64) -> Self {
        Self {
            total,
            moved: block,
            running: true,
            ..Self::default()
        }
    }

    /// The migration at `index`, counted from 0, has moved.
    pub(super) fn step(&mut self, index: Option<u32>, block: u64) {
        self.done = index.map_or(self.done, |index| index.saturating_add(1));
        (self.moved, self.running, self.stuck) = (block, true, false);
    }

    pub(super) fn complete(&mut self) {
        (self.running, self.stuck) = (false, false);
        self.done = self.total.unwrap_or(self.done);
    }
}

/// The figures that were measured of a chain around its upgrade.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    pub version_before: u32,
    /// The hours before the upgrade, as far as they were seen.
    pub before: Stretch,
    /// The worst of these hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    pub after: Stretch,
    /// Block times in tenths of a second, oldest first.
    pub gaps_before: Vec<u32>,
    pub gaps_after: Vec<u32>,
    /// Best minus finalized at its worst, in blocks.
    pub worst_lag: u64,
    /// The hash of the code that runs, and the one that was to run.
    pub code: Option<String>,
    pub code_planned: Option<String>,
    /// Endpoints that answer, of all.
    pub answering: Option<(usize, usize)>,
    #[serde(flatten)]
    pub follow_up: FollowUp,
}

/// Block times kept after an upgrade.
const MAX_GAPS_AFTER: usize = 240;

impl Measurements {
    pub(super) fn note(&mut self, pace: &Pace, lag: u64) {
        pace.grow(&mut self.after);
        self.worst_lag = self.worst_lag.max(lag);
        if self.gaps_after.len() < MAX_GAPS_AFTER {
            self.gaps_after.extend(pace.last_gap().map(tenths));
        }
    }

    /// Says whether the code that runs is the one that was planned, if both are known.
    pub fn code_fits(&self) -> Option<bool> {
        Some(self.code.as_ref()? == self.code_planned.as_ref()?)
    }
}

#[cfg(test)]
impl Default for VerificationRules {
    fn default() -> Self {
        Self {
            healthy_for: SignedDuration::from_secs(60),
            complete_after: SignedDuration::from_secs(60),
            watch_for: SignedDuration::from_hours(24),
            max_block_gap: SignedDuration::from_secs(20),
            max_finality_lag: 20,
            max_failed_share: 0.5,
            min_transactions: 0,
            worse_than_before: 3.0,
            slis: None,
            after: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::block::ChainEvent;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A block with so many transactions that have succeeded, and that have failed.
    fn block(second: Option<i64>, succeeded: usize, failed: usize) -> Block {
        let event = |name: &str| ChainEvent {
            pallet: "System".into(),
            name: name.into(),
            fields: serde_json::Value::Null,
        };
        let mut events = vec![event("ExtrinsicSuccess"); succeeded];
        events.extend(vec![event("ExtrinsicFailed"); failed]);
        Block {
            time: second.map(at),
            events,
            ..Block::default()
        }
    }

    fn observe(health: &mut Health, block: &Block, lag: u64, contiguous: bool) {
        observe_after(health, block, lag, contiguous, None);
    }

    fn observe_after(
        health: &mut Health,
        block: &Block,
        lag: u64,
        contiguous: bool,
        record: Option<&Measurements>,
    ) {
        let rules = VerificationRules {
            max_finality_lag: 5,
            ..VerificationRules::default()
        };
        let seen = Observed {
            now: at(18),
            finality_lag: lag,
            contiguous,
            late: false,
            rules: &rules,
            limits: &Limits::default(),
            estimate: &|_| None,
        };
        health.observe(block, seen, record);
    }

    #[test]
    fn trouble_is_what_goes_beyond_its_limit_and_the_watch_begins_anew() {
        // Seconds since the block before, blocks behind, transactions that have succeeded and failed.
        let cases = [
            (20, 5, 0, 0, None),
            (21, 0, 0, 0, Some("no block for 21 s")),
            (6, 6, 0, 0, Some("finality is 6 blocks behind")),
            (6, 0, 4, 5, None),
            (6, 0, 5, 5, None),
            (6, 0, 4, 6, Some("6 of 10 transactions failed")),
        ];
        for (second, lag, succeeded, failed, trouble) in cases {
            let mut health = Health::new(at(0));
            let block = block(Some(second), succeeded, failed);
            observe(&mut health, &block, lag, true);
            assert_eq!(health.trouble.as_deref(), trouble);
            let counted = (health.restarts, health.blocks, health.length().as_secs());
            let expected = if trouble.is_some() {
                (1, 0, 0)
            } else {
                (0, 1, second)
            };
            assert_eq!(counted, expected, "{trouble:?}");
            observe(&mut health, &block_after(second), 0, true);
            assert_eq!(health.blocks, counted.1 + 1);
        }
    }

    #[test]
    fn a_chain_that_makes_a_block_on_demand_is_measured_by_its_own_gaps() {
        let record = Measurements {
            gaps_before: vec![6_000; 20], // ten minutes
            ..Measurements::default()
        };
        let gap = |second, record: Option<&Measurements>| {
            let mut health = Health::new(at(0));
            observe_after(&mut health, &block(Some(second), 0, 0), 0, true, record);
            health.trouble
        };
        assert_eq!(gap(1_800, Some(&record)), None);
        assert_eq!(
            gap(1_801, Some(&record)).as_deref(),
            Some("no block for 1801 s")
        );
        assert_eq!(gap(21, None).as_deref(), Some("no block for 21 s"));
    }

    fn block_after(second: i64) -> Block {
        block(Some(second + 6), 0, 0)
    }

    #[test]
    fn a_healthy_stretch_counts_what_it_saw() {
        let mut health = Health::new(at(0));
        observe(&mut health, &block(Some(12), 2, 1), 0, true);
        observe(&mut health, &block(None, 3, 1), 0, true); // by our own clock
        let expected = Health {
            last: at(18),
            made: 2,
            blocks: 2,
            busy: 2,
            transactions: 7,
            failed: 2,
            longest_gap: 12,
            ..Health::new(at(0))
        };
        assert_eq!(health, expected);
        observe(&mut health, &block(Some(1018), 0, 0), 0, false);
        assert_eq!(
            (health.length().as_secs(), health.longest_gap, health.blocks),
            (18, 12, 3),
            "what was not seen is neither a gap nor health"
        );
    }

    /// Blocks each six seconds, that many of them, seen final twelve seconds later; returns what the stretch says.
    fn run(record: &Measurements, rules: &VerificationRules, blocks: &[(i64, usize)]) -> Health {
        let mut health = Health::new(at(0));
        let mut second = 0;
        for (gap, transactions) in blocks {
            second += gap;
            let seen = Observed {
                now: at(second + 12),
                finality_lag: 2,
                contiguous: true,
                late: false,
                rules,
                limits: &Limits::default(),
                estimate: &|_| None,
            };
            let block = block(Some(second), *transactions, 0);
            health.observe(&block, seen, Some(record));
        }
        health
    }

    fn six_second_blocks(busy: f64) -> Measurements {
        Measurements {
            before: Stretch {
                blocks: 100,
                ms: 600_000,
                ..Stretch::default()
            },
            baseline: Some(Baseline {
                block_seconds: 6.0,
                lag: Some(3),
                failed: 0.1,
                busy,
            }),
            ..Measurements::default()
        }
    }

    #[test]
    fn a_chain_is_compared_with_its_own_hours_before() {
        let rules = VerificationRules::default();
        let trouble = |record: &Measurements, blocks: &[(i64, usize)]| {
            let health = run(record, &rules, blocks);
            (health.restarts, health.trouble)
        };
        let busy = six_second_blocks(0.9);
        assert_eq!(trouble(&busy, &[(6, 1); 100]), (0, None));
        let (restarts, reason) = trouble(&busy, &[(19, 1); 10]);
        assert_eq!(restarts, 1);
        let words = "a block takes 19.0 s; in the slowest hour before it was 6.0 s";
        assert_eq!(reason.as_deref(), Some(words));
        // Of blocks that nearly all had a transaction, 39 in a row without one are no accident.
        assert_eq!(trouble(&busy, &[(6, 0); 38]).0, 0);
        assert_eq!(trouble(&busy, &[(6, 0); 39]).0, 1);
        let unknown = Measurements {
            baseline: None,
            ..six_second_blocks(0.9)
        };
        assert_eq!(trouble(&unknown, &[(19, 0); 100]), (0, None));
    }

    #[test]
    fn a_transaction_has_to_come_where_some_are_usual_and_the_indicators_where_they_are_asked_for()
    {
        let unshown = |busy, slis, blocks: &[(i64, usize)]| {
            let rules = VerificationRules {
                slis,
                ..VerificationRules::default()
            };
            let record = six_second_blocks(busy);
            let health = run(&record, &rules, blocks);
            let trouble = health.trouble.clone();
            let doubt = health.doubt(&rules, &record.baseline.unwrap());
            (trouble, doubt.or_else(|| health.unmet_sli(&rules)))
        };
        let silence =
            "0 of 100 blocks have a transaction; in the quietest hour before, about 5 had one";
        let silent = (None, Some(silence.to_owned()));
        assert_eq!(unshown(0.05, None, &[(6, 0); 100]), silent);
        let one = [&[(6, 0); 99][..], &[(6, 1)]].concat();
        assert_eq!(unshown(0.05, None, &one), (None, None));
        assert_eq!(
            unshown(0.01, None, &[(6, 0); 100]),
            (None, None),
            "a quiet chain"
        );
        let few = "not every SLI is at 90 %: too few blocks were counted";
        assert_eq!(
            unshown(0.0, Some(0.9), &[(6, 0); 10]).1.as_deref(),
            Some(few)
        );
        assert_eq!(unshown(0.0, Some(0.9), &[(6, 0); 11]), (None, None));
        let slow = "50 % of the blocks due were made and 50 % finalized, 0 % in time and 100 % final in time";
        let (trouble, missing) = unshown(0.0, Some(0.9), &[(12, 0); 20]);
        assert_eq!(
            (trouble, missing),
            (None, Some(format!("not every SLI is at 90 %: {slow}")))
        );
        let (trouble, _) = unshown(0.0, Some(0.9), &[(12, 0); 51]);
        assert_eq!(trouble, Some(format!("an SLI was below 90 %: {slow}")));
        assert_eq!(unshown(0.0, None, &[(12, 0); 51]), (None, None));
    }

    #[test]
    fn a_migration_counts_from_one_and_is_whole_in_the_end() {
        let mut migration = Migration::begun(Some(3), 7);
        let begun = Migration {
            total: Some(3),
            done: 0,
            moved: 7,
            running: true,
            stuck: false,
        };
        assert_eq!(migration, begun);
        migration.stuck = true;
        migration.step(Some(1), 9);
        let moved = Migration {
            done: 2,
            moved: 9,
            ..begun
        };
        assert_eq!(migration, moved);
        migration.step(None, 10);
        assert_eq!((migration.done, migration.moved), (2, 10));
        migration.complete();
        assert_eq!((migration.done, migration.running), (3, false));
        let mut unknown = Migration {
            total: None,
            stuck: true,
            ..moved
        };
        unknown.complete();
        assert_eq!((unknown.done, unknown.stuck), (2, false));
    }

    #[test]
    fn a_chains_figures_are_kept_for_the_report() {
        let mut pace = Pace::default();
        let mut figures = Measurements::default();
        for n in 0..300_u32 {
            let block = Block {
                number: n.into(),
                ..block(Some(i64::from(n) * 6), 0, 0)
            };
            pace = pace.and(&block);
            figures.note(&pace, if n == 9 { 4 } else { 1 });
        }
        assert_eq!(figures.worst_lag, 4);
        assert_eq!(
            (figures.after.blocks, figures.after.longest_ms),
            (299, 6000)
        );
        assert_eq!(figures.gaps_after, [60; MAX_GAPS_AFTER]);

        let fits = |code: Option<&str>, planned: Option<&str>| {
            let figures = Measurements {
                code: code.map(str::to_owned),
                code_planned: planned.map(str::to_owned),
                ..Measurements::default()
            };
            figures.code_fits()
        };
        assert_eq!(fits(Some("0xab"), Some("0xab")), Some(true));
        assert_eq!(fits(Some("0xab"), Some("0xcd")), Some(false));
        assert_eq!(fits(None, Some("0xab")), None);
        assert_eq!(fits(Some("0xab"), None), None);
    }

    #[test]
    fn what_was_not_seen_after_something_awaited_is_no_time_of_health() {
        let mut health = Health {
            last: at(600),
            awaited_until: Some(at(600)),
            ..Health::new(at(0))
        };
        observe(&mut health, &block(Some(4_200), 1, 0), 0, false);
        assert_eq!(health.length(), SignedDuration::ZERO);
        observe(&mut health, &block(Some(4_206), 1, 0), 0, true);
        assert_eq!(health.length(), SignedDuration::from_secs(6));
        // Trouble begins the stretch anew, and what was awaited until then stays so.
        let awaited = health.awaited_until;
        observe(&mut health, &block(Some(4_300), 1, 0), 0, true);
        assert_eq!((health.restarts, health.awaited_until), (1, awaited));
    }
}
