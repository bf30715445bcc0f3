//! The parachains of a relay after its upgrade: which of them have stopped, and which are back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::chain::{memory::Memory, parachains::ParachainHistory};

/// Nothing is included of a parachain for so long, in seconds, before it is called stopped, however often it was before.
const STOPPED_AFTER_SECONDS: f64 = 180.0;
/// The pace of a relay of which too little was seen, in seconds a block.
const RELAY_BLOCK_SECONDS: f64 = 6.0;
/// An upgrade asks the relay at most so often which parachains have a core.
const MAX_QUESTIONS: u32 = 6;
/// The blocks from one question to the next: the first ones in a minute each, the others in an hour.
const QUESTION_BLOCKS: [u64; 2] = [10, 600];
/// The number of questions that may follow each other within minutes.
const MAX_QUICK_QUESTIONS: u32 = 4;
/// After so many that were not answered, the silence alone has to do.
const MAX_UNANSWERED: u32 = 3;
/// Parachains that have stopped are looked for in so many blocks after the upgrade: a day.
const WATCH_BLOCKS: u64 = 14_400;
/// It is looked for them with each block whose number this divides.
const LOOK_EVERY_BLOCKS: u64 = 5;
/// A parachain whose last block is no further behind the upgrade may have lost its core by it.
const AT_UPGRADE_BLOCKS: u64 = 10;

/// The parachains that went on as usual when their relay was upgraded, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParachainWatch {
    /// The relay's block in which it was upgraded.
    begun: u64,
    active: Vec<u32>,
    pub stopped: Vec<StoppedParachain>,
    /// Those that are silent and have no core: their coretime has ended, or nobody has ordered a block of them. With the
    /// block of the question.
    excused: BTreeMap<u32, u64>,
    questions: u32,
    unanswered: u32,
    asked: u64,
}

/// A parachain that has stopped since the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedParachain {
    pub id: u32,
    /// The relay's block with its last block.
    pub last: u64,
    /// The relay's block with which it went on.
    pub back: Option<u64>,
}

impl ParachainWatch {
    /// Begins with the block in which the relay was upgraded.
    pub fn begin(memory: &Memory) -> Self {
        Self {
            begun: memory.number,
            active: memory.parachains.active(memory.number, least(memory)),
            ..Self::default()
        }
    }

    /// The parachains that went on as usual before.
    pub fn count(&self) -> usize {
        self.active.len()
    }

    /// The parachains that have stopped and are not back.
    pub fn missing(&self) -> impl Iterator<Item = &StoppedParachain> {
        self.stopped
            .iter()
            .filter(|parachain| parachain.back.is_none())
    }

    /// The parachains that are silent for too long, with their last block, if it is time to ask whether they have a core.
    pub fn suspects(&self, memory: &Memory) -> Vec<(u32, u64)> {
        let block = memory.number;
        let [quick, slow] = QUESTION_BLOCKS;
        let pause = if self.questions < MAX_QUICK_QUESTIONS {
            quick
        } else {
            slow
        };
        let is_time = block.is_multiple_of(LOOK_EVERY_BLOCKS)
            && self.questions < MAX_QUESTIONS
            && block.saturating_sub(self.begun) < WATCH_BLOCKS
            && (self.questions == 0 || block.saturating_sub(self.asked) >= pause);
        if !is_time {
            return Vec::new();
        }
        let known: BTreeSet<u32> = self.missing().map(|parachain| parachain.id).collect();
        let is_excused = |id: &u32| {
            let asked = self.excused.get(id);
            asked.is_some_and(|asked| block.saturating_sub(*asked) < slow)
        };
        let history: &ParachainHistory = &memory.parachains;
        let left = self.active.iter().copied();
        left.filter(|id| !known.contains(id) && !is_excused(id))
            .filter_map(|id| Some((id, history.silent_since(id, block, least(memory))?)))
            .collect()
    }

    /// Takes note that the question was not answered; true if it is not asked again, and the silence has to do.
    pub fn unanswered(&mut self, block: u64) -> bool {
        (self.questions, self.asked) = (self.questions + 1, block);
        self.unanswered += 1;
        self.unanswered >= MAX_UNANSWERED
    }

    /// Takes the answer: the parachains that have a core at a block. `None` where it can't be had. Says whether one more
    /// has stopped.
    pub fn judge(
        &mut self,
        block: u64,
        suspects: &[(u32, u64)],
        with_core: Option<&BTreeSet<u32>>,
    ) -> bool {
        (self.questions, self.asked) = (self.questions + 1, block);
        let has_core = |id: u32| with_core.is_none_or(|with_core| with_core.contains(&id));
        let (mut stopped, coreless): (Vec<_>, Vec<_>) =
            suspects.iter().copied().partition(|(id, _)| has_core(*id));
        // One that has no core any more has its coretime ended. Many at once have lost it by the upgrade.
        let at_upgrade = self.begun + AT_UPGRADE_BLOCKS;
        let lost = coreless
            .iter()
            .filter(|(_, last)| *last <= at_upgrade)
            .count();
        if lost > 1 && 2 * lost >= self.active.len() {
            stopped.extend(coreless);
        } else {
            self.excused
                .extend(coreless.iter().map(|(id, _)| (*id, block)));
        }
        for (id, last) in &stopped {
            self.stopped.retain(|parachain| parachain.id != *id);
            let back = None;
            self.stopped.push(StoppedParachain {
                id: *id,
                last: *last,
                back,
            });
        }
        !stopped.is_empty()
    }

    /// Takes the parachains of which a block includes one; says whether the last that was missing is back with it.
    pub fn note(&mut self, block: u64, included: &[u32]) -> bool {
        let was_missing = self.missing().next().is_some();
        for parachain in self.stopped.iter_mut().filter(|p| included.contains(&p.id)) {
            parachain.back.get_or_insert(block);
        }
        self.excused.retain(|id, _| !included.contains(id));
        was_missing && self.missing().next().is_none()
    }

    /// `3 of 58: 2004, 2092, 3345`, those that are missing.
    pub fn missing_in_words(&self) -> String {
        named(self.missing().map(|parachain| parachain.id), self.count())
    }

    /// The same of all that were missing once.
    pub fn stopped_in_words(&self) -> String {
        named(
            self.stopped.iter().map(|parachain| parachain.id),
            self.count(),
        )
    }
}

fn named(ids: impl Iterator<Item = u32>, of: usize) -> String {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    format!("{} of {of}: {}", ids.len(), ids.join(", "))
}

/// The blocks for which a parachain may be silent in any case.
fn least(memory: &Memory) -> u64 {
    let pace = memory.pace.stretch().mean().unwrap_or(RELAY_BLOCK_SECONDS);
    (STOPPED_AFTER_SECONDS / pace.max(0.1)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::block::{Block, ChainEvent, Kin};

    /// A relay whose blocks include these parachains.
    fn relay(blocks: u64, included: impl Fn(u64) -> Vec<u32>) -> Memory {
        let event = |id: u32| ChainEvent {
            pallet: "ParaInclusion".into(),
            name: "CandidateIncluded".into(),
            fields: serde_json::json!({ "para_id": id }),
        };
        let block = |number| Block {
            number,
            events: included(number).into_iter().map(event).collect(),
            ..Block::default()
        };
        let mut memory = Memory::first("0x00".into(), &block(1));
        for number in 2..=blocks {
            memory = block(number).read("relay", &memory, &Kin::default()).1;
        }
        memory
    }

    #[test]
    fn a_parachain_with_a_core_that_stops_is_named_once_and_again_when_it_stops_again() {
        // 1 goes on, 2 stops, the coretime of 3 ends, 4 was quiet before.
        let included = |number: u64| match number {
            ..=50 => vec![1, 2, 3, 4],
            51..=100 => vec![1, 2, 3],
            _ => vec![1],
        };
        let mut watch = ParachainWatch::begin(&relay(100, included));
        assert_eq!(watch.count(), 3);
        assert_eq!(watch.suspects(&relay(130, included)), []);
        let suspects = watch.suspects(&relay(135, included));
        assert_eq!(suspects, [(2, 100), (3, 100)]);
        assert!(watch.judge(135, &suspects, Some(&[1, 2].into())));
        assert_eq!(watch.missing_in_words(), "1 of 3: 2");
        assert_eq!(watch.suspects(&relay(160, included)), []);
        assert!(!watch.note(161, &[1]));
        assert!(watch.note(162, &[1, 2]));
        assert!(!watch.note(163, &[1, 2]));
        let back =
            |watch: &ParachainWatch| watch.stopped.iter().map(|p| p.back).collect::<Vec<_>>();
        assert_eq!(back(&watch), [Some(162)]);
        let again = watch.suspects(&relay(300, included));
        assert_eq!(again, [(2, 100)]);
        assert!(watch.judge(300, &again, None));
        assert_eq!(back(&watch), [None]);
    }

    #[test]
    fn an_upgrade_asks_a_few_times_at_most() {
        let mut watch = ParachainWatch::begin(&relay(100, |_| vec![1]));
        let included = |number: u64| if number <= 100 { vec![1] } else { Vec::new() };
        let mut silent = relay(134, included);
        let mut asked = Vec::new();
        while silent.number < 9_000 {
            silent.number += 1;
            let suspects = watch.suspects(&silent);
            if !suspects.is_empty() {
                asked.push(silent.number);
                assert!(!watch.judge(silent.number, &suspects, Some(&BTreeSet::new())));
            }
        }
        assert_eq!(asked, [135, 735, 1335, 1935, 2535, 3135]);
    }

    #[test]
    fn cores_that_many_lose_with_the_upgrade_are_no_excuse() {
        let included = |number: u64| {
            if number <= 101 {
                vec![1, 2, 3]
            } else {
                vec![3]
            }
        };
        let mut watch = ParachainWatch::begin(&relay(100, included));
        let suspects = watch.suspects(&relay(135, included));
        assert!(watch.judge(135, &suspects, Some(&[3].into())));
        assert_eq!(watch.missing_in_words(), "2 of 3: 1, 2");
    }

    #[test]
    fn a_relay_that_does_not_answer_is_asked_three_times() {
        let mut watch = ParachainWatch::begin(&relay(100, |_| vec![1]));
        let answers = [135, 145, 155].map(|block| watch.unanswered(block));
        assert_eq!(answers, [false, false, true]);
    }
}
