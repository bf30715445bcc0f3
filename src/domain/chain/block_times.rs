//! How fast a chain goes: block times, transactions and slots of its last blocks.
//!
//! Estimates of when a block will be there stand on it, and so does the comparison before and after an upgrade.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::block::Block;

/// Blocks kept one by one.
const RECENT_BLOCKS: usize = 60;
/// Blocks from one anchor to the next, and anchors kept: about a day of six-second blocks.
const ANCHOR_EVERY_BLOCKS: u64 = 300;
const MAX_ANCHORS: usize = 48;
/// With fewer block times nothing is estimated.
const MIN_BLOCKS_TO_ESTIMATE: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    number: u64,
    ms: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    transactions: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    failed: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<u64>,
}

// serde's `skip_serializing_if` hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// The last blocks of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    recent: Vec<Sample>,
    /// Number and time in milliseconds of older blocks, for a longer measure.
    anchors: Vec<(u64, i64)>,
}

/// The time at which a block is expected, and how far off that may be to either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    pub at: Timestamp,
    pub band: SignedDuration,
}

/// The sums of a row of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    pub blocks: u32,
    /// From the block before the first to the last, in milliseconds.
    pub ms: i64,
    pub longest_ms: i64,
    pub transactions: u32,
    pub failed: u32,
    /// Blocks with a transaction.
    #[serde(default)]
    pub busy: u32,
    /// Slots without a block, where the consensus has slots.
    pub missed_slots: Option<u64>,
}

impl Stretch {
    /// The mean time from one block to the next, in seconds.
    pub fn mean(&self) -> Option<f64> {
        (self.blocks > 0).then(|| self.ms as f64 / 1000.0 / f64::from(self.blocks))
    }

    /// Counts blocks as blocks of six seconds where the chain's own are shorter, so that a limit on finality means the
    /// same time on a fast chain. A chain that makes a block only when it has something to say is counted by its blocks.
    pub fn in_six_seconds(&self, blocks: u64) -> u64 {
        let own = self.mean().unwrap_or(SIX_SECONDS).min(SIX_SECONDS);
        (blocks as f64 * own / SIX_SECONDS).round() as u64
    }

    /// Adds the blocks of another stretch.
    pub(super) fn join(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.ms += other.ms;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.transactions += other.transactions;
        self.failed += other.failed;
        self.busy += other.busy;
        if let Some(missed) = other.missed_slots {
            self.missed_slots = Some(self.missed_slots.unwrap_or(0) + missed);
        }
    }

    /// Adds the step from one block to the next.
    fn add(&mut self, from: &Sample, to: &Sample) {
        let gap = (to.ms - from.ms).max(0);
        self.blocks += 1;
        self.ms += gap;
        self.longest_ms = self.longest_ms.max(gap);
        self.transactions += to.transactions;
        self.failed += to.failed;
        self.busy += u32::from(to.transactions > 0);
        if let (Some(a), Some(b)) = (from.slot, to.slot) {
            // On a chain of several blocks a slot none is missed.
            let missed = b.saturating_sub(a).saturating_sub(1);
            self.missed_slots = Some(self.missed_slots.unwrap_or(0) + missed);
        }
    }
}

impl Pace {
    /// Takes note of a block; blocks come in order, with or without gaps.
    pub fn note(&mut self, block: &Block) {
        let Some(time) = block.time else { return };
        let ms = time.as_millisecond();
        if self
            .recent
            .last()
            .is_some_and(|last| block.number == last.number)
        {
            return;
        }
        // A chain whose clock or number went back is another chain.
        if self
            .recent
            .last()
            .is_some_and(|last| block.number < last.number || ms < last.ms)
        {
            *self = Self::default();
        }
        let (succeeded, failed) = block.transactions();
        self.recent.push(Sample {
            number: block.number,
            ms,
            transactions: succeeded + failed,
            failed,
            slot: block.slot,
        });
        if self.recent.len() > RECENT_BLOCKS {
            self.recent.remove(0);
        }
        if self
            .anchors
            .last()
            .is_none_or(|(number, _)| block.number >= number + ANCHOR_EVERY_BLOCKS)
        {
            self.anchors.push((block.number, ms));
            if self.anchors.len() > MAX_ANCHORS {
                self.anchors.remove(0);
            }
        }
    }

    /// Adds one more block.
    #[must_use]
    pub fn and(&self, block: &Block) -> Self {
        let mut pace = self.clone();
        pace.note(block);
        pace
    }

    /// The step to the newest block, if the one before it was seen.
    fn last_step(&self) -> Option<(&Sample, &Sample)> {
        match self.recent.as_slice() {
            [.., a, b] if a.number + 1 == b.number => Some((a, b)),
            _ => None,
        }
    }

    /// The length of the step to the newest block, in milliseconds.
    pub fn last_gap(&self) -> Option<i64> {
        self.last_step().map(|(a, b)| b.ms - a.ms)
    }

    /// Adds to a stretch what the newest block brings.
    pub fn grow(&self, stretch: &mut Stretch) {
        if let Some((a, b)) = self.last_step() {
            stretch.add(a, b);
        }
    }

    /// Steps between neighbours, oldest first.
    fn steps(&self) -> impl DoubleEndedIterator<Item = (&Sample, &Sample)> {
        self.recent
            .iter()
            .zip(self.recent.iter().skip(1))
            .filter(|(a, b)| a.number + 1 == b.number)
    }

    /// All that is kept, as one stretch.
    pub fn stretch(&self) -> Stretch {
        let mut stretch = Stretch::default();
        self.steps().for_each(|(a, b)| stretch.add(a, b));
        stretch
    }

    /// The time from one block to the next that nine of ten of the last steps keep to; zero while too few were seen.
    pub fn usual_gap(&self) -> SignedDuration {
        usual_gap(&self.gaps())
    }

    /// Block times in tenths of a second, oldest first.
    pub fn gaps(&self) -> Vec<u32> {
        self.steps().map(|(a, b)| tenths(b.ms - a.ms)).collect()
    }

    /// Estimates when block `number` is to be expected. `None` while too few blocks were seen, or when it is there already.
    pub fn estimate(&self, number: u64) -> Option<Estimate> {
        let last = self.recent.last()?;
        let left = number.checked_sub(last.number).filter(|n| *n > 0)? as f64;
        let first = self.recent.first().map(|s| (s.number, s.ms));
        let (from, from_ms) = self
            .anchors
            .first()
            .copied()
            .into_iter()
            .chain(first)
            .min()?;
        let seen = last
            .number
            .checked_sub(from)
            .filter(|n| *n >= MIN_BLOCKS_TO_ESTIMATE)? as f64;
        let mean = (last.ms - from_ms) as f64 / seen;
        let gaps: Vec<f64> = self.steps().map(|(a, b)| (b.ms - a.ms) as f64).collect();
        if (gaps.len() as u64) < MIN_BLOCKS_TO_ESTIMATE {
            return None;
        }
        let own = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance =
            gaps.iter().map(|g| (g - own).powi(2)).sum::<f64>() / (gaps.len() as f64 - 1.0);
        // The steps still to come scatter, and the mean itself is only as good as the blocks behind it. Twice the
        // deviation of both, a block, a thousandth of the way for what changes meanwhile, and what the pace of the last
        // blocks would make another: after a stall, or a change of the block time, nobody knows which one holds.
        let scatter = (variance * left + variance / seen * left * left).sqrt();
        let band = 2.0 * scatter + mean + 0.001 * mean * left + (mean - own).abs() * left;
        let whole = |ms: f64| if ms.is_finite() { ms.round() as i64 } else { 0 };
        let at = Timestamp::from_millisecond(last.ms.checked_add(whole(mean * left))?).ok()?;
        Some(Estimate {
            at,
            band: SignedDuration::from_millis(whole(band)),
        })
    }
}

/// The block time in which limits on finality are counted, in seconds.
pub const SIX_SECONDS: f64 = 6.0;

/// A chain is still for longer than usual after so many times its usual gap.
pub const TIMES_USUAL_GAP: i32 = 3;

/// The block time that nine of ten keep to, of block times in tenths of a second; zero while there are too few.
pub fn usual_gap(tenths: &[u32]) -> SignedDuration {
    if (tenths.len() as u64) < MIN_BLOCKS_TO_ESTIMATE {
        return SignedDuration::ZERO;
    }
    let mut gaps = tenths.to_vec();
    gaps.sort_unstable();
    let gap = gaps.get(gaps.len() * 9 / 10).copied().unwrap_or_default();
    SignedDuration::from_millis(i64::from(gap) * 100)
}

/// Milliseconds as tenths of a second.
pub fn tenths(ms: i64) -> u32 {
    u32::try_from((ms.max(0) + 50) / 100).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{super::block::ChainEvent, *};

    fn at(ms: i64) -> Option<Timestamp> {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).ok()
    }
    fn block(number: u64, ms: i64) -> Block {
        Block {
            number,
            time: at(ms),
            slot: Some(u64::try_from(ms / 6000).unwrap()),
            ..Block::default()
        }
    }

    /// Random numbers, the same each time.
    struct Dice(u64);
    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % sides
        }
        /// A block time: six seconds, a slot missed now and then, a little jitter.
        fn step(&mut self, missed_of_100: u64) -> i64 {
            let mut ms = 6000 + i64::try_from(self.roll(400)).unwrap() - 200;
            while self.roll(100) < missed_of_100 {
                ms += 6000;
            }
            ms
        }
    }

    #[test]
    fn the_usual_gap_is_that_of_nine_in_ten() {
        assert_eq!(usual_gap(&[60; 9]), SignedDuration::ZERO, "too few");
        assert_eq!(usual_gap(&[60; 10]), SignedDuration::from_secs(6));
        let mut pace = Pace::default();
        (0..11).for_each(|number: u8| pace.note(&block(number.into(), i64::from(number) * 6000)));
        assert_eq!(pace.usual_gap(), SignedDuration::from_secs(6));
        let mut gaps = vec![60; 18];
        gaps.extend([9_000, 9_000]);
        assert_eq!(usual_gap(&gaps), SignedDuration::from_mins(15));
        gaps.push(60);
        assert_eq!(usual_gap(&gaps), SignedDuration::from_secs(6));
    }

    #[test]
    fn a_limit_on_finality_is_the_same_time_on_a_fast_chain_and_blocks_on_a_slow_one() {
        for (ms, blocks, counted) in [
            (500, 36, 3),
            (2_000, 30, 10),
            (6_000, 20, 20),
            (12_000, 4, 4),
            (600_000, 1, 1),
        ] {
            let mut pace = Pace::default();
            (0..=20).for_each(|n| pace.note(&block(n, i64::try_from(n).unwrap() * ms)));
            assert_eq!(pace.stretch().in_six_seconds(blocks), counted, "{ms} ms");
        }
        assert_eq!(
            Stretch::default().in_six_seconds(7),
            7,
            "nothing is known yet"
        );
    }

    #[test]
    fn of_regular_blocks_the_time_is_known_to_a_block() {
        let mut pace = Pace::default();
        (0..=20).for_each(|n| pace.note(&block(n, i64::try_from(n).unwrap() * 6000)));
        let estimate = pace.estimate(120).unwrap();
        assert_eq!(Some(estimate.at), at(120 * 6000));
        assert!(
            estimate.band <= SignedDuration::from_secs(7),
            "{estimate:?}"
        );
        assert_eq!(pace.estimate(20), None, "it is there");
    }

    #[test]
    fn of_a_handful_of_blocks_nothing_is_said() {
        let mut pace = Pace::default();
        (0..=9).for_each(|n| pace.note(&block(n, i64::try_from(n).unwrap() * 6000)));
        assert_eq!(pace.estimate(1000), None);
    }

    #[test]
    fn the_band_holds_nineteen_times_of_twenty() {
        let (mut within, mut all) = (0, 0);
        for seed in 0..400_u64 {
            let (missed, ahead) = (
                [0, 3, 10, 25][usize::try_from(seed % 4).unwrap()],
                [30, 300, 3000][usize::try_from(seed % 3).unwrap()],
            );
            let mut dice = Dice(seed * 7919 + 1);
            let (mut pace, mut ms) = (Pace::default(), 0);
            let seen = 20 + dice.roll(2000);
            for n in 0..seen {
                ms += dice.step(missed);
                pace.note(&block(n, ms));
            }
            let estimate = pace.estimate(seen - 1 + ahead).unwrap();
            for _ in 0..ahead {
                ms += dice.step(missed);
            }
            let off = at(ms).unwrap().duration_since(estimate.at).abs();
            within += u32::from(off <= estimate.band);
            all += 1;
        }
        assert!(within * 100 >= all * 95, "{within} of {all}");
    }

    #[test]
    fn a_stretch_counts_gaps_and_missed_slots() {
        let mut pace = Pace::default();
        for (n, slot) in [(1, 1), (2, 2), (3, 5), (4, 6)] {
            pace.note(&block(n, slot * 6000));
        }
        let stretch = pace.stretch();
        assert_eq!(
            (stretch.blocks, stretch.longest_ms, stretch.missed_slots),
            (3, 18_000, Some(2))
        );
        assert_eq!(pace.gaps(), [60, 180, 60]);
        // What lies between blocks that were not read one after the other is no gap of the chain.
        pace.note(&block(100, 700_000));
        assert_eq!(pace.stretch().blocks, 3);
        // Another chain under the name.
        pace.note(&block(1, 700_000));
        assert_eq!(pace.stretch(), Stretch::default());
    }

    fn with_transactions(block: Block, succeeded: usize, failed: usize) -> Block {
        let event = |name: &str| ChainEvent {
            pallet: "System".into(),
            name: name.into(),
            fields: serde_json::Value::Null,
        };
        let mut events = vec![event("ExtrinsicSuccess"); succeeded];
        events.extend(vec![event("ExtrinsicFailed"); failed]);
        Block { events, ..block }
    }

    #[test]
    fn a_stretch_sums_what_its_blocks_hold() {
        let mut pace = Pace::default();
        let mut grown = Stretch::default();
        let blocks = [
            (1, 0, 1, 1),
            (2, 6000, 2, 1),
            (3, 12_000, 0, 0),
            (4, 21_000, 0, 4),
        ];
        for (number, ms, succeeded, failed) in blocks {
            let mut block = with_transactions(block(number, ms), succeeded, failed);
            block.slot = (number > 1).then_some(number);
            pace.note(&block);
            pace.note(&block); // the same block twice counts once
            pace.grow(&mut grown);
        }
        let expected = Stretch {
            blocks: 3,
            ms: 21_000,
            longest_ms: 9000,
            transactions: 7,
            failed: 5,
            busy: 2,
            missed_slots: Some(0),
        };
        assert_eq!(pace.stretch(), expected);
        assert_eq!(grown, expected);
        assert_eq!(expected.mean(), Some(7.0));
        assert_eq!(Stretch::default().mean(), None);
        assert_eq!(pace.last_gap(), Some(9000));
        let stored = serde_json::to_value(&pace).unwrap();
        let quiet = serde_json::json!({ "number": 3, "ms": 1_800_000_012_000_i64, "slot": 3 });
        assert_eq!(stored["recent"][2], quiet);
        assert_eq!(stored["recent"][3]["failed"], 4);
    }

    #[test]
    fn only_so_many_blocks_are_kept_and_older_ones_in_long_steps() {
        let mut pace = Pace::default();
        (0..20_000).for_each(|n| pace.note(&block(n, i64::try_from(n).unwrap() * 6000)));
        let numbers: Vec<u64> = pace.recent.iter().map(|s| s.number).collect();
        assert_eq!(numbers, (19_940..20_000).collect::<Vec<_>>());
        let anchors: Vec<u64> = pace.anchors.iter().map(|(number, _)| *number).collect();
        let expected: Vec<u64> = (19..=66).map(|n| n * 300).collect();
        assert_eq!(anchors, expected);
    }

    #[test]
    fn a_chain_that_went_back_is_another_and_one_without_a_clock_none() {
        let noted = |blocks: &[Block]| {
            let mut pace = Pace::default();
            blocks.iter().for_each(|block| pace.note(block));
            pace.recent.iter().map(|s| s.number).collect::<Vec<_>>()
        };
        let (five, six) = (block(5, 60_000), block(6, 60_000));
        assert_eq!(noted(&[five.clone(), six]), [5, 6], "no time between them");
        assert_eq!(noted(&[five.clone(), block(4, 66_000)]), [4]);
        assert_eq!(noted(&[five.clone(), block(6, 59_000)]), [6]);
        let timeless = Block {
            time: None,
            ..block(6, 66_000)
        };
        assert_eq!(noted(&[five, timeless]), [5]);
    }

    #[test]
    fn an_estimate_follows_the_mean_and_its_band_what_is_not_known() {
        let estimate = |steps: &[i64], ahead: u64| {
            let mut pace = Pace::default();
            let mut ms = 0;
            pace.note(&block(0, 0));
            for (n, step) in (1..).zip(steps) {
                ms += step;
                pace.note(&block(n, ms));
            }
            let last = u64::try_from(steps.len()).unwrap();
            let found = pace.estimate(last + ahead)?;
            let left = found.at.duration_since(at(ms).unwrap());
            Some((left.as_millis(), found.band.as_millis()))
        };
        // A block and a thousandth of the way; and with scattered blocks their deviation, doubled.
        assert_eq!(estimate(&[6000; 10], 100), Some((600_000, 6600)));
        assert_eq!(estimate(&[6000; 9], 100), None);
        let scattered = [5000, 7000].repeat(5);
        assert_eq!(estimate(&scattered, 1), Some((6000, 8217)));
        assert_eq!(estimate(&scattered, 100), Some((600_000, 76_521)));
        // Half as fast of late: nobody knows which pace holds.
        let slower = [[3000; 60], [6000; 60]].concat();
        assert_eq!(estimate(&slower, 100), Some((450_000, 154_950)));
    }

    #[test]
    fn tenths_are_rounded() {
        assert_eq!([0, 49, 50, 6049, -7].map(tenths), [0, 0, 1, 60, 0]);
    }
}
