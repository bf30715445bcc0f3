//! How often a relay includes blocks of each of its parachains.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The relay's blocks in which blocks of its parachains were included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParachainHistory(BTreeMap<u32, Inclusions>);

/// The inclusions of one parachain, by the relay's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "InclusionsRecord", into = "InclusionsRecord")]
struct Inclusions {
    last: u64,
    /// The block from which on silence is counted: the last one, or the end of a gap in what was read.
    heard: u64,
    count: u32,
    /// The block since which the longest gap is looked for.
    since: u64,
    longest_gap: u64,
    /// The longest gap in the time before.
    longest_gap_before: u64,
}

/// Inclusions as a list, since a relay has a hundred of them in each record of it.
type InclusionsRecord = (u64, u64, u32, u64, u64, u64);

/// The longest gap of older blocks than these is forgotten, so that an outage of weeks ago says nothing. A day and two.
const GAP_BLOCKS: u64 = 14_400;
/// A parachain of which nothing was included for so long is forgotten: a week.
const FORGET_BLOCKS: u64 = 100_800;
/// So many inclusions must be known before a parachain can be called silent.
const MIN_INCLUSIONS: u32 = 5;
/// A parachain is silent after so many times its longest gap.
const TIMES_LONGEST_GAP: u64 = 4;
/// A parachain with a longest gap of so many blocks makes them regularly, and is silent after no more than so many.
const REGULAR_GAP_BLOCKS: u64 = 20;
const MAX_REGULAR_SILENCE_BLOCKS: u64 = 40;

impl From<InclusionsRecord> for Inclusions {
    fn from(record: InclusionsRecord) -> Self {
        let (last, heard, count, since, longest_gap, longest_gap_before) = record;
        Self {
            last,
            heard,
            count,
            since,
            longest_gap,
            longest_gap_before,
        }
    }
}

impl From<Inclusions> for InclusionsRecord {
    fn from(inclusions: Inclusions) -> Self {
        let Inclusions {
            last,
            heard,
            count,
            since,
            longest_gap,
            longest_gap_before,
        } = inclusions;
        (last, heard, count, since, longest_gap, longest_gap_before)
    }
}

impl Inclusions {
    fn first(block: u64) -> Self {
        Self {
            last: block,
            heard: block,
            count: 0,
            since: block,
            longest_gap: 0,
            longest_gap_before: 0,
        }
    }

    fn note(&mut self, block: u64) {
        if block.saturating_sub(self.since) > GAP_BLOCKS {
            self.longest_gap_before = std::mem::take(&mut self.longest_gap);
            self.since = block;
        }
        self.longest_gap = self.longest_gap.max(block.saturating_sub(self.heard));
        (self.last, self.heard) = (block, block);
        self.count = self.count.saturating_add(1);
    }

    /// Nothing was included for so long, by its own gaps, that it is no chance. At least `least` blocks.
    fn is_silent(&self, block: u64, least: u64) -> bool {
        let longest = self.longest_gap.max(self.longest_gap_before);
        let silence = block.saturating_sub(self.heard);
        let usual = if longest <= REGULAR_GAP_BLOCKS {
            (TIMES_LONGEST_GAP * longest).min(MAX_REGULAR_SILENCE_BLOCKS)
        } else {
            TIMES_LONGEST_GAP * longest
        };
        silence > least.max(usual)
    }
}

impl ParachainHistory {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a block of the relay with the parachains of which it includes a block. Without the block before it, what
    /// lies between is not known to be a gap.
    pub(super) fn note(&mut self, block: u64, included: &[u32], contiguous: bool) {
        if !contiguous {
            self.0.values_mut().for_each(|known| known.heard = block);
        }
        for id in included {
            let known = self
                .0
                .entry(*id)
                .or_insert_with(|| Inclusions::first(block));
            known.note(block);
        }
        self.0
            .retain(|_, known| block.saturating_sub(known.last) < FORGET_BLOCKS);
    }

    /// The parachains that go on as usual at a block.
    pub fn active(&self, block: u64, least: u64) -> Vec<u32> {
        let is_active =
            |known: &Inclusions| known.count >= MIN_INCLUSIONS && !known.is_silent(block, least);
        let active = self.0.iter().filter(|(_, known)| is_active(known));
        active.map(|(id, _)| *id).collect()
    }

    /// The last block that included one of a parachain, if it is silent for so long that it is no chance.
    pub fn silent_since(&self, id: u32, block: u64, least: u64) -> Option<u64> {
        let known = self.0.get(&id)?;
        known.is_silent(block, least).then_some(known.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a parachain have a block in each of these of the relay.
    fn history(blocks: impl IntoIterator<Item = u64>) -> ParachainHistory {
        let mut history = ParachainHistory::default();
        blocks
            .into_iter()
            .for_each(|block| history.note(block, &[7], true));
        history
    }

    #[test]
    fn a_gap_counts_for_as_long_as_it_is_remembered() {
        let mut inclusions = Inclusions::first(0);
        let gaps =
            |inclusions: &Inclusions| (inclusions.longest_gap, inclusions.longest_gap_before);
        inclusions.note(GAP_BLOCKS);
        assert_eq!(gaps(&inclusions), (GAP_BLOCKS, 0));
        inclusions.note(GAP_BLOCKS + 1);
        assert_eq!(gaps(&inclusions), (1, GAP_BLOCKS));
        inclusions.note(2 * GAP_BLOCKS + 9);
        assert_eq!(gaps(&inclusions), (GAP_BLOCKS + 8, 1));
        // A regular parachain is silent by a multiple of its gap, up to a limit; one with long gaps by the multiple.
        let silent_from = |longest_gap: u64| {
            let known = Inclusions {
                longest_gap,
                ..Inclusions::first(0)
            };
            (0..10 * TIMES_LONGEST_GAP * REGULAR_GAP_BLOCKS)
                .find(|block| known.is_silent(*block, 0))
        };
        assert_eq!(silent_from(2), Some(TIMES_LONGEST_GAP * 2 + 1));
        let beyond = REGULAR_GAP_BLOCKS + 1;
        assert_eq!(silent_from(beyond), Some(TIMES_LONGEST_GAP * beyond + 1));
    }

    #[test]
    fn a_parachain_is_silent_by_its_own_gaps() {
        // The blocks, the block of the look, whether it was active before it, and whether it is silent.
        let every_other = || (1..=50).map(|n| n * 2);
        let seldom = || (1..=10).map(|n| n * 100);
        let rows: [(ParachainHistory, u64, bool); 6] = [
            (history(every_other()), 130, false),
            (history(every_other()), 131, true),
            (history(seldom()), 1_400, false),
            (history(seldom()), 1_401, true),
            // An outage of two days ago is forgotten, one of yesterday is not.
            (
                history([1, 2, 3, 4, 500, 502, 15_000, 15_001, 30_000, 30_001]),
                30_100,
                false,
            ),
            (
                history(
                    (1..20)
                        .chain([500])
                        .chain(14_500..14_510)
                        .chain(29_000..29_010),
                ),
                29_050,
                false,
            ),
        ];
        for (n, (history, block, is_silent)) in rows.into_iter().enumerate() {
            let since = history.silent_since(7, block, 30);
            assert_eq!(since.is_some(), is_silent, "row {n}");
            assert_eq!(history.active(block, 30).is_empty(), is_silent, "row {n}");
        }
    }

    #[test]
    fn what_was_not_read_is_no_gap_and_few_blocks_say_nothing() {
        let mut read = history(1..=10);
        read.note(500, &[], false);
        assert_eq!(read.silent_since(7, 520, 30), None);
        assert_eq!(read.silent_since(7, 531, 30), Some(10));
        assert_eq!(history(1..=4).active(5, 30), [] as [u32; 0]);
        let mut forgotten = history(1..=10);
        forgotten.note(10 + FORGET_BLOCKS, &[], true);
        assert!(forgotten.is_empty());
    }

    #[test]
    fn the_record_is_a_list() {
        let record = serde_json::to_string(&history([3, 5])).unwrap();
        assert_eq!(record, r#"{"7":[5,5,2,3,2,0]}"#);
        assert_eq!(
            serde_json::from_str::<ParachainHistory>(&record).unwrap(),
            history([3, 5])
        );
    }
}
