//! Feedback: reactions and thread replies, counted from the platforms themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one channel's thread and post hold now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// By emoji as the platform writes it, herald's own left out.
    pub reactions: BTreeMap<String, u32>,
    /// Replies in the thread, herald's own left out.
    pub replies: u32,
}

/// One reaction the plan gives a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    pub emoji: String,
    pub meaning: String,
}

/// The summary of all channels' tallies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// In the plan's order; then `other`, if there are any.
    pub reactions: Vec<Count>,
    pub replies: u32,
    pub channels: BTreeMap<String, Tally>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub emoji: String,
    pub meaning: String,
    pub count: u32,
}

impl Summary {
    pub fn of(channels: BTreeMap<String, Tally>, meanings: &[Meaning]) -> Self {
        let total = |wanted: &dyn Fn(&str) -> bool| -> u32 {
            channels.values().flat_map(|t| &t.reactions).filter(|(emoji, _)| wanted(emoji)).map(|(_, n)| n).sum()
        };
        let mut reactions: Vec<Count> = meanings
            .iter()
            .map(|m| Count { emoji: m.emoji.clone(), meaning: m.meaning.clone(), count: total(&|e| same(e, &m.emoji)) })
            .collect();
        let other = total(&|e| !meanings.iter().any(|m| same(e, &m.emoji)));
        if other > 0 {
            reactions.push(Count { emoji: "…".into(), meaning: "other".into(), count: other });
        }
        let replies = channels.values().map(|t| t.replies).sum();
        Self { reactions, replies, channels }
    }
}

/// Reactions with each of these emojis, over all channels: votes, where each stands for a choice.
pub fn votes(tallies: &[Tally], emojis: &[&str]) -> Vec<u32> {
    let given = || tallies.iter().flat_map(|t| &t.reactions);
    emojis.iter().map(|wanted| given().filter(|(emoji, _)| same(emoji, wanted)).map(|(_, n)| n).sum()).collect()
}

/// Platforms differ in whether they keep the "as a picture" mark in an emoji, such as behind the 1 of "1️⃣".
fn same(a: &str, b: &str) -> bool {
    let bare = |emoji: &str| emoji.replace('\u{fe0f}', "");
    bare(a) == bare(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_summed_over_channels_however_a_number_is_written() {
        let tally = |reactions: &[(&str, u32)]| Tally {
            reactions: reactions.iter().map(|(emoji, n)| ((*emoji).to_owned(), *n)).collect(),
            replies: 9,
        };
        let tallies =
            [tally(&[("1\u{fe0f}\u{20e3}", 2), ("2\u{20e3}", 1), ("👍", 5)]), tally(&[("1\u{20e3}", 1), ("1\u{20e3}\u{fe0f}", 1)])];
        assert_eq!(votes(&tallies, &["1️⃣", "2️⃣", "3️⃣"]), [4, 1, 0]);
        assert_eq!(votes(&[], &["1️⃣"]), [0]);
    }

    #[test]
    fn the_picture_mark_makes_no_difference_and_the_rest_is_other() {
        let tally = |pairs: &[(&str, u32)], replies| Tally { reactions: pairs.iter().map(|(e, n)| (e.to_string(), *n)).collect(), replies };
        let meanings = [("👍", "fine"), ("⚠️", "problem")].map(|(e, m)| Meaning { emoji: e.into(), meaning: m.into() });
        let summary = Summary::of(
            [("a".to_string(), tally(&[("⚠", 1), ("👍", 2)], 1)), ("b".to_string(), tally(&[("⚠️", 1), ("🎉", 3)], 2))].into(),
            &meanings,
        );
        let counts: Vec<_> = summary.reactions.iter().map(|c| (c.meaning.as_str(), c.count)).collect();
        assert_eq!((counts, summary.replies), (vec![("fine", 2), ("problem", 2), ("other", 3)], 3));
    }
}
