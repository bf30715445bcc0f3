//! How a chain has fared in each of its last hours: an upgrade is measured by the worst of them.

use serde::{Deserialize, Serialize};

use super::{
    block::Block,
    block_times::{Pace, Stretch},
};

/// A day of hours, so that the quiet of a night is among them.
const MAX_HOURS: i64 = 24;
/// An hour of which fewer blocks were seen says nothing.
const MIN_BLOCKS: u32 = 30;
/// With fewer transactions an hour's share of failed ones is an accident.
const MIN_TRANSACTIONS: u32 = 20;

/// The last hours of a chain by its own clock, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hours(Vec<Hour>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hour {
    /// Hours since 1970.
    number: i64,
    #[serde(flatten)]
    stretch: Stretch,
    /// Best minus finalized at its worst, in blocks, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worst_lag: Option<u64>,
}

/// The worst of a chain's hours, in each respect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The mean time from one block to the next in the slowest hour, in seconds.
    pub block_seconds: f64,
    /// Best minus finalized at its worst, in blocks, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// The share of transactions that failed in the worst hour, from 0 to 1.
    pub failed: f64,
    /// The share of blocks with a transaction in the quietest hour, from 0 to 1.
    pub busy: f64,
}

impl Baseline {
    /// How far finality was behind at its worst, in seconds.
    pub fn lag_seconds(&self) -> f64 {
        self.lag.unwrap_or_default() as f64 * self.block_seconds
    }
}

impl Hours {
    /// Takes note of the newest block, with how far finality was behind if it is known of that moment. A block of which no
    /// events are known says nothing of transactions.
    pub fn note(&mut self, block: &Block, pace: &Pace, lag: Option<u64>) {
        let Some(time) = block.time.filter(|_| !block.without_events) else {
            return;
        };
        let number = time.as_second().div_euclid(3600);
        // A chain whose clock went back is another chain.
        if self.0.last().is_some_and(|last| number < last.number) {
            self.0.clear();
        }
        if self.0.last().is_none_or(|last| number > last.number) {
            self.0.push(Hour {
                number,
                ..Hour::default()
            });
            self.0.retain(|hour| hour.number > number - MAX_HOURS);
        }
        if let Some(hour) = self.0.last_mut() {
            pace.grow(&mut hour.stretch);
            hour.worst_lag = hour.worst_lag.max(lag);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is known of the hours, as one stretch.
    pub fn stretch(&self) -> Stretch {
        let mut sum = Stretch::default();
        self.0.iter().for_each(|hour| sum.join(&hour.stretch));
        sum
    }

    /// The worst of the hours; nothing while too little was seen.
    pub fn baseline(&self) -> Option<Baseline> {
        let known = || {
            let hours = self.0.iter();
            hours.filter(|hour| hour.stretch.blocks >= MIN_BLOCKS)
        };
        let share = |hits: u32, of: u32| f64::from(hits) / f64::from(of);
        let means = known().filter_map(|hour| hour.stretch.mean());
        let block_seconds = means.reduce(f64::max)?;
        // One more block without a transaction, and one more failure: what was never seen may be all the same.
        let busy = known().map(|hour| share(hour.stretch.busy, hour.stretch.blocks + 1));
        let all = self.stretch();
        let pooled = share(all.failed + 1, all.transactions + 1);
        let failed = known()
            .filter(|hour| hour.stretch.transactions >= MIN_TRANSACTIONS)
            .map(|hour| share(hour.stretch.failed, hour.stretch.transactions));
        Some(Baseline {
            block_seconds,
            lag: known().filter_map(|hour| hour.worst_lag).max(),
            failed: failed.fold(pooled, f64::max),
            busy: busy.reduce(f64::min)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::chain::block::{Block, ChainEvent};

    /// Blocks of so many seconds, each with so many transactions of which so many failed.
    struct Chain {
        hours: Hours,
        pace: Pace,
        number: u64,
        second: i64,
    }

    impl Chain {
        fn new() -> Self {
            Self {
                hours: Hours::default(),
                pace: Pace::default(),
                number: 0,
                second: 0,
            }
        }

        fn make(&mut self, blocks: u32, seconds: i64, (transactions, failed): (usize, usize)) {
            let event = |name: &str| ChainEvent {
                pallet: "System".into(),
                name: name.into(),
                fields: serde_json::Value::Null,
            };
            for _ in 0..blocks {
                self.number += 1;
                self.second += seconds;
                let mut events = vec![event("ExtrinsicSuccess"); transactions - failed];
                events.extend(vec![event("ExtrinsicFailed"); failed]);
                let time = Timestamp::from_second(1_800_000_000 + self.second).ok();
                let block = Block {
                    number: self.number,
                    time,
                    events,
                    ..Block::default()
                };
                self.pace.note(&block);
                self.hours.note(&block, &self.pace, Some(self.number % 5));
            }
        }
    }

    #[test]
    fn each_figure_is_that_of_the_worst_hour() {
        let mut chain = Chain::new();
        assert_eq!(chain.hours.baseline(), None);
        // An hour of each: quick and busy, slow and quiet, and one in which a third fails.
        chain.make(599, 6, (1, 0));
        chain.make(300, 12, (0, 0));
        chain.make(600, 6, (3, 1));
        let baseline = chain.hours.baseline().unwrap();
        assert_eq!(baseline.block_seconds, 12.0);
        assert_eq!((baseline.lag, baseline.lag_seconds()), (Some(4), 48.0));
        assert_eq!(baseline.busy, 0.0);
        assert!((baseline.failed - 1.0 / 3.0).abs() < 0.01, "{baseline:?}");
        let all = chain.hours.stretch();
        let sums = (all.blocks, all.transactions, all.failed, all.busy);
        assert_eq!(sums, (1498, 598 + 1800, 600, 1198));
        assert_eq!(all.ms, 598 * 6000 + 300 * 12_000 + 600 * 6000);
    }

    #[test]
    fn too_little_says_nothing_and_what_was_never_seen_may_be() {
        let mut chain = Chain::new();
        chain.make(30, 6, (1, 0));
        assert_eq!(chain.hours.baseline(), None, "29 steps");
        chain.make(1, 6, (1, 0));
        let baseline = chain.hours.baseline().unwrap();
        assert_eq!((baseline.failed, baseline.busy), (1.0 / 31.0, 30.0 / 31.0));
        let mut idle = Chain::new();
        idle.make(100, 6, (0, 0));
        assert_eq!(idle.hours.baseline().unwrap().failed, 1.0);
    }

    #[test]
    fn a_day_is_kept_and_another_chain_begins_anew() {
        let mut chain = Chain::new();
        chain.make(40, 90, (1, 1));
        for _ in 0..24 {
            chain.make(40, 90, (1, 0));
        }
        assert_eq!(chain.hours.0.len(), 24);
        assert_eq!(chain.hours.stretch().failed, 0, "the oldest is gone");
        chain.second -= 7200;
        chain.make(1, 0, (1, 0));
        assert_eq!(chain.hours.0.len(), 1);
        let before = chain.hours.clone();
        let untimed = Block::default();
        let unread = Block {
            time: Timestamp::from_second(1_900_000_000).ok(),
            without_events: true,
            ..Block::default()
        };
        for block in [untimed, unread] {
            chain.hours.note(&block, &chain.pace, Some(99));
        }
        assert_eq!(chain.hours, before, "without a time, or without events");
    }

    #[test]
    fn hours_of_another_day_and_steps_over_a_gap_are_left_out() {
        let mut chain = Chain::new();
        chain.make(40, 60, (1, 1));
        let seen = chain.hours.stretch().blocks;
        chain.number += 100;
        chain.make(1, 60, (1, 0));
        assert_eq!(chain.hours.stretch().blocks, seen, "a gap");
        chain.second += 25 * 3600;
        chain.make(40, 60, (1, 0));
        assert_eq!(chain.hours.stretch().failed, 0, "more than a day ago");
    }
}
