//! The four service level indicators of "Stabilizing Polkadot" (Polkadot forum, topic 7175), over ten minutes: blocks made and
//! blocks finalized, blocks slower than 10 s, and finality later than 20 s.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::chain::block_times::SIX_SECONDS;

/// The time over which they are counted.
const PERIOD: SignedDuration = SignedDuration::from_mins(10);
/// Fewer blocks say nothing.
const MIN_BLOCKS: u32 = 10;
/// A block is slow after so many seconds, and final late after so many; on a chain whose blocks usually take longer than
/// six seconds, after as many times longer. A parachain's block is final after its relay's, so none is late that is final as
/// soon as in the hours before.
const SLOW_SECONDS: f64 = 10.0;
const LATE_SECONDS: f64 = 20.0;
const TIMES_LATE: f64 = 3.0;

/// A block as the indicators count it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedBlock {
    /// The block's own time, and the time by our clock at which it was seen final.
    pub made: Timestamp,
    pub seen: Timestamp,
    /// From the block before.
    pub gap: SignedDuration,
    /// Seconds that a block of this chain usually takes, and that finality was behind at its worst before.
    pub usual_seconds: f64,
    pub usual_lag_seconds: f64,
}

impl CountedBlock {
    /// How many times slower the chain is than one of six seconds.
    fn slowness(&self) -> f64 {
        (self.usual_seconds / SIX_SECONDS).max(1.0)
    }

    /// Seconds after which it is final late.
    fn late_seconds(&self) -> f64 {
        (LATE_SECONDS * self.slowness()).max(self.usual_lag_seconds)
    }

    fn age_seconds(&self) -> f64 {
        self.seen.duration_since(self.made).as_secs_f64()
    }

    /// It may be one of those that are read while catching up, which were final long before they were seen.
    pub fn is_long_over(&self) -> bool {
        self.age_seconds() > self.late_seconds() * TIMES_LATE
    }
}

/// The indicators of the period that is under way, and of the last one that is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slis {
    pub period: Option<Period>,
    pub last: Option<Shares>,
}

/// The blocks of a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// The block before the first, as it was made and as it was seen final.
    made: Timestamp,
    seen: Timestamp,
    blocks: u32,
    slow: u32,
    late: u32,
    shares: Option<Shares>,
}

/// Each indicator as a share of blocks, from 0 to 1: the more the better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Of the blocks that were due, those that were made, and that were finalized.
    pub made: f64,
    pub finalized: f64,
    /// Of the blocks that were made, those within 10 s, and final within 20 s.
    pub in_time: f64,
    pub final_in_time: f64,
}

impl Shares {
    /// Rounded down: what is not quite met is not shown as met.
    pub fn percent(&self) -> [u32; 4] {
        let shares = [self.made, self.finalized, self.in_time, self.final_in_time];
        shares.map(|share| (share * 100.0 + 1e-9) as u32)
    }

    pub fn worst(&self) -> f64 {
        let shares = [self.made, self.finalized, self.in_time, self.final_in_time];
        shares.into_iter().fold(1.0, f64::min)
    }
}

impl Period {
    fn begin(block: CountedBlock) -> Self {
        Self {
            made: block.made,
            seen: block.seen,
            blocks: 0,
            slow: 0,
            late: 0,
            shares: None,
        }
    }

    fn count(&mut self, block: CountedBlock) {
        self.blocks += 1;
        self.slow += u32::from(block.gap.as_secs_f64() > SLOW_SECONDS * block.slowness());
        self.late += u32::from(block.age_seconds() > block.late_seconds());
        let of = f64::from(self.blocks);
        let due = |length: SignedDuration| (length.as_secs_f64() / block.usual_seconds).max(1.0);
        self.shares = (self.blocks >= MIN_BLOCKS).then(|| Shares {
            made: (of / due(block.made.duration_since(self.made))).min(1.0),
            finalized: (of / due(block.seen.duration_since(self.seen))).min(1.0),
            in_time: 1.0 - f64::from(self.slow) / of,
            final_in_time: 1.0 - f64::from(self.late) / of,
        });
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [made, finalized, in_time, final_in_time] = self.percent();
        write!(
            f,
            "{made} % of the blocks due were made and {finalized} % finalized, {in_time} % in time and {final_in_time} % final in time"
        )
    }
}

impl Slis {
    pub(super) fn count(&mut self, block: CountedBlock) {
        let Some(period) = &mut self.period else {
            self.period = Some(Period::begin(block));
            return;
        };
        period.count(block);
        let is_over = block.made.duration_since(period.made) >= PERIOD;
        if is_over && period.shares.is_some() {
            self.last = period.shares;
            *period = Period::begin(block);
        }
    }

    fn under_way(&self) -> Option<Shares> {
        self.period.as_ref()?.shares
    }

    /// The figures of the last period that is over, or else of the one under way.
    pub fn shares(&self) -> Option<Shares> {
        self.last.or(self.under_way())
    }

    /// A whole period was worse than this share.
    pub(super) fn is_below(&self, share: f64) -> bool {
        self.last.is_some_and(|shares| shares.worst() < share)
    }

    /// What is known by now is as good as this share, and something is known.
    pub(super) fn is_met(&self, share: f64) -> bool {
        let known = [self.last, self.under_way()];
        let mut known = known.into_iter().flatten().peekable();
        known.peek().is_some() && known.all(|shares| shares.worst() >= share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Counts blocks that come so many seconds one after the other and are final so many seconds later.
    fn counted(blocks: &[(i64, i64)], usual_seconds: f64) -> Slis {
        let (mut slis, mut second) = (Slis::default(), 0);
        for (gap, later) in [(0, 12)].iter().chain(blocks) {
            second += gap;
            slis.count(CountedBlock {
                made: at(second),
                seen: at(second + later),
                gap: SignedDuration::from_secs(*gap),
                usual_seconds,
                usual_lag_seconds: 0.0,
            });
        }
        slis
    }

    fn percent(slis: &Slis) -> Option<[u32; 4]> {
        slis.shares().map(|shares| shares.percent())
    }

    #[test]
    fn each_indicator_is_a_share_of_blocks() {
        assert_eq!(counted(&[(6, 12); 9], 6.0).shares(), None, "too few");
        let cases = [
            (vec![(6, 12); 50], [100, 100, 100, 100]),
            // Every second slot is missed; no block is later than 20 s.
            (vec![(12, 12); 20], [50, 50, 0, 100]),
            // 10 s and 20 s are in time.
            (vec![(10, 20); 20], [60, 57, 100, 100]),
            (vec![(6, 21); 20], [100, 93, 100, 0]),
        ];
        for (blocks, expected) in cases {
            assert_eq!(
                percent(&counted(&blocks, 6.0)),
                Some(expected),
                "{blocks:?}"
            );
        }
        // On a chain of blocks of 12 s, 20 s and 40 s are in time; on one of half a second, 10 s and 20 s all the same.
        let slow = [(20, 40), (21, 41)].map(|block| percent(&counted(&[block; 20], 12.0)));
        assert_eq!(slow, [Some([60, 56, 100, 100]), Some([57, 53, 0, 0])]);
        let quick = percent(&counted(&[(10, 20); 20], 0.5));
        assert_eq!(quick, Some([5, 4, 100, 100]));
    }

    #[test]
    fn a_block_is_late_by_what_is_usual_and_long_over_while_catching_up() {
        let after = |age: i64, usual_seconds, usual_lag_seconds| {
            let block = CountedBlock {
                made: at(0),
                seen: at(age),
                gap: SignedDuration::ZERO,
                usual_seconds,
                usual_lag_seconds,
            };
            (
                block.age_seconds() > block.late_seconds(),
                block.is_long_over(),
            )
        };
        // A chain of six seconds, a slow one, and one that is final with its relay.
        for (usual, lag, limit) in [(6.0, 12.0, 20), (12.0, 0.0, 40), (6.0, 45.0, 45)] {
            let found =
                [limit, limit + 1, limit * 3, limit * 3 + 1].map(|age| after(age, usual, lag));
            let expected = [(false, false), (true, false), (true, false), (true, true)];
            assert_eq!(found, expected, "{usual} {lag}");
        }
    }

    #[test]
    fn ten_minutes_are_judged_and_what_is_under_way_has_to_be_as_good() {
        let (well, poor) = ([(6, 12); 100], [(12, 12); 50]);
        let judged = |blocks: &[(i64, i64)]| {
            let slis = counted(blocks, 6.0);
            (slis.is_met(0.9), slis.is_below(0.9))
        };
        assert_eq!(judged(&well[..9]), (false, false), "too few");
        assert_eq!(judged(&well[..10]), (true, false));
        assert_eq!(judged(&well), (true, false));
        assert_eq!(judged(&poor[..20]), (false, false), "not over yet");
        assert_eq!(judged(&poor), (false, true));
        let then_poor = [&well[..], &poor[..20]].concat();
        assert_eq!(judged(&then_poor), (false, false));
        let last = percent(&counted(&then_poor, 6.0));
        assert_eq!(last, Some([100; 4]), "the last that is over");
        // A chain of a block a minute is judged all the same.
        let rare = counted(&[(60, 20); 9], 60.0);
        assert!(!rare.is_met(0.9));
        assert!(counted(&[(60, 20); 10], 60.0).is_met(0.9));
    }
}
