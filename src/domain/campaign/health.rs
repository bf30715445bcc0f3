//! How a chain fares around its upgrade: its health, its migrations, and what was measured.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::chain::{
    block::Block,
    block_times::{Estimate, Pace, Stretch, tenths},
    fact::Expected,
    observation::Limits,
};

/// How long and how well a chain must run before an upgrade is called verified, and then completed.
#[derive(Clone, Debug, PartialEq)]
pub struct VerificationRules {
    pub healthy_for: SignedDuration,
    pub complete_after: SignedDuration,
    pub max_block_gap: SignedDuration,
    /// In blocks of six seconds.
    pub max_finality_lag: u64,
    /// The share of all transactions since, 0 to 1.
    pub max_failed_share: f64,
    pub min_transactions: u32,
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
    pub blocks: u32,
    pub transactions: u32,
    pub failed: u32,
    /// Seconds.
    pub longest_gap: i64,
    /// How often the stretch began again, and why last.
    pub restarts: u32,
    pub trouble: Option<String>,
}

impl Health {
    pub(super) fn new(at: Timestamp) -> Self {
        Self {
            since: at,
            last: at,
            blocks: 0,
            transactions: 0,
            failed: 0,
            longest_gap: 0,
            restarts: 0,
            trouble: None,
        }
    }

    /// Length of the healthy stretch, by the chain's clock.
    pub fn length(&self) -> SignedDuration {
        self.last.duration_since(self.since)
    }

    /// Takes one more block. `before` is how the chain did before the upgrade.
    pub(super) fn observe(&mut self, block: &Block, seen: Observed<'_>, before: Option<&Stretch>) {
        let rules = seen.rules;
        // A chain without a clock of its own is timed by ours.
        let time = block.time.unwrap_or(seen.now);
        let mut gap = time.duration_since(self.last);
        if !seen.contiguous {
            // What was not seen is neither a gap nor a time of health.
            self.since = self.since.checked_add(gap).unwrap_or(time);
            gap = SignedDuration::ZERO;
        }
        let lag = before.map_or(seen.finality_lag, |b| b.in_six_seconds(seen.finality_lag));
        let (succeeded, failed) = block.transactions();
        self.last = time;
        self.blocks += 1;
        self.transactions += succeeded + failed;
        self.failed += failed;
        self.longest_gap = self.longest_gap.max(gap.as_secs());
        let share = f64::from(self.failed) / f64::from(self.transactions.max(1));
        let trouble = if gap > rules.max_block_gap {
            Some(format!("no block for {} s", gap.as_secs()))
        } else if lag > rules.max_finality_lag {
            Some(format!("finality is {} blocks behind", seen.finality_lag))
        } else if self.transactions >= 10 && share > rules.max_failed_share {
            Some(format!(
                "{} of {} transactions failed",
                self.failed, self.transactions
            ))
        } else if self.transactions == 0 && before.is_some_and(|b| is_silence(b, self.blocks)) {
            Some(format!(
                "no transaction in {} blocks, unlike before the upgrade",
                self.blocks
            ))
        } else {
            None
        };
        if trouble.is_some() {
            *self = Self {
                restarts: self.restarts + 1,
                trouble,
                ..Self::new(time)
            };
        }
    }
}

/// How improbable it must be that a chain merely happens to have no transaction: a millionth, as a logarithm.
const SILENCE_LN: f64 = -13.8;

/// Fewer blocks before the upgrade say nothing of how many transactions a chain has.
const MIN_BLOCKS_BEFORE: u32 = 30;

/// Tells whether so many blocks without a transaction are silence, by the share of blocks that had one `before`. A chain of
/// which too little was seen, or that was as quiet, isn't silent.
fn is_silence(before: &Stretch, blocks: u32) -> bool {
    if before.blocks < MIN_BLOCKS_BEFORE {
        return false;
    }
    let empty = f64::from(before.blocks - before.busy.min(before.blocks) + 1)
        / f64::from(before.blocks + 1);
    f64::from(blocks) * empty.ln() < SILENCE_LN
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
    pub before: Stretch,
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
