//! Feedback: reactions and thread replies, counted from the platforms themselves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator;

use crate::domain::plan::notice::Audience;

/// People's answers to one message: its reactions, and the words in its thread; herald's own left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub reactions: Vec<Reaction>,
    pub replies: Vec<ThreadReply>,
    /// The reason why the thread can't be read any more, if it is so.
    pub unread: Option<String>,
}

/// One person's reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// As the platform writes it.
    pub emoji: String,
    /// The platform's id of the account.
    pub by: String,
    /// The time of it, where the platform says when.
    pub at: Option<Timestamp>,
}

/// One person's words in a thread, as they were edited last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadReply {
    pub by: String,
    pub at: Timestamp,
    /// Nothing where the platform doesn't show it.
    pub text: Option<String>,
}

impl Heard {
    /// The numbers alone.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            replies: count(self.replies.len()),
            ..Tally::default()
        };
        self.reactions
            .iter()
            .for_each(|r| *tally.reactions.entry(r.emoji.clone()).or_default() += 1);
        tally
    }
}

/// The contents of one channel's thread and post, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// By emoji as the platform writes it, herald's own left out.
    pub reactions: BTreeMap<String, u32>,
    /// Replies in the thread, herald's own left out.
    pub replies: u32,
}

/// One person who answers, whatever accounts they have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voice {
    /// The person's id, the same for all of their accounts.
    pub who: String,
    /// Nothing of somebody nobody has listed.
    pub audience: Option<Audience>,
}

/// Words that somebody has for us, in a thread or by a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub voice: Voice,
    pub at: Timestamp,
    pub text: Option<String>,
}

/// One reaction the plan gives a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    pub emoji: String,
    pub meaning: String,
    /// Several who mean it are told to operators.
    #[serde(default)]
    pub problem: bool,
}

/// The answers of all channels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// In the plan's order; then `other`, if there are any. One person counts once for each meaning, on however many channels.
    pub reactions: Vec<FeedbackCount>,
    pub replies: u32,
    pub channels: BTreeMap<String, Tally>,
    /// The answers by audience, those without one left out; people who are not listed come last, without a name.
    #[serde(default)]
    pub audiences: Vec<OfAudience>,
    /// The newest words first.
    #[serde(default)]
    pub quotes: Vec<Quote>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackCount {
    pub emoji: String,
    pub meaning: String,
    pub count: u32,
}

/// The answers of one audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfAudience {
    pub audience: Option<Audience>,
    pub reactions: Vec<FeedbackCount>,
    pub replies: u32,
}

/// Somebody's words, without their name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub audience: Option<Audience>,
    pub text: String,
}

/// A summary holds at most this many of people's words, each of so many characters at most.
pub const MAX_QUOTES: usize = 3;
pub const MAX_QUOTE_CHARS: usize = 140;

impl Summary {
    /// `voice` says who somebody in a channel is; `words` are those of commands, beside the threads'.
    pub fn of(
        channels: &BTreeMap<String, Heard>,
        words: &[Words],
        meanings: &[Meaning],
        voice: impl Fn(&str, &str) -> Voice,
    ) -> Self {
        let reacted: Vec<(Voice, &str)> = channels
            .iter()
            .flat_map(|(c, h)| {
                h.reactions
                    .iter()
                    .map(|r| (voice(c, &r.by), r.emoji.as_str()))
            })
            .collect();
        let replied = channels.iter().flat_map(|(c, h)| {
            h.replies.iter().map(|r| Words {
                voice: voice(c, &r.by),
                at: r.at,
                text: r.text.clone(),
            })
        });
        let mut said: Vec<Words> = replied.chain(words.iter().cloned()).collect();
        said.sort_by_key(|words| std::cmp::Reverse(words.at));
        let of = |wanted: Option<Option<Audience>>| {
            let of_it = |v: &Voice| wanted.is_none_or(|audience| audience == v.audience);
            let reactions = counts(reacted.iter().filter(|(v, _)| of_it(v)), meanings);
            (
                reactions,
                count(said.iter().filter(|w| of_it(&w.voice)).count()),
            )
        };
        let groups = Audience::iter().map(Some).chain([None]);
        let audiences = groups.filter_map(|audience| {
            let (reactions, replies) = of(Some(audience));
            (replies > 0 || reactions.iter().any(|c| c.count > 0)).then_some(OfAudience {
                audience,
                reactions,
                replies,
            })
        });
        let quotes = said.iter().filter_map(|w| {
            Some(Quote {
                audience: w.voice.audience,
                text: quoted(w.text.as_deref()?)?,
            })
        });
        let mut different: Vec<Quote> = Vec::new();
        for quote in quotes {
            // The same words twice are read once.
            if different.len() < MAX_QUOTES
                && !different.iter().any(|q: &Quote| q.text == quote.text)
            {
                different.push(quote);
            }
        }
        let (audiences, quotes) = (audiences.collect(), different);
        let (reactions, replies) = of(None);
        Self {
            reactions,
            replies,
            channels: channels
                .iter()
                .map(|(name, heard)| (name.clone(), heard.tally()))
                .collect(),
            audiences,
            quotes,
        }
    }
}

/// How many people mean each of these; whatever has no meaning is one more, if there is some.
fn counts<'a>(
    reacted: impl Iterator<Item = &'a (Voice, &'a str)>,
    meanings: &[Meaning],
) -> Vec<FeedbackCount> {
    let mut people: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); meanings.len()];
    let mut other = BTreeSet::new();
    for (voice, emoji) in reacted {
        match meanings
            .iter()
            .position(|m| same(emoji, &m.emoji))
            .and_then(|i| people.get_mut(i))
        {
            Some(meant) => drop(meant.insert(&voice.who)),
            None => drop(other.insert((&voice.who, *emoji))),
        }
    }
    let known = meanings.iter().zip(&people);
    let mut all: Vec<FeedbackCount> = known
        .map(|(m, p)| FeedbackCount {
            emoji: m.emoji.clone(),
            meaning: m.meaning.clone(),
            count: count(p.len()),
        })
        .collect();
    if !other.is_empty() {
        all.push(FeedbackCount {
            emoji: "…".into(),
            meaning: "other".into(),
            count: count(other.len()),
        });
    }
    all
}

/// One line, and not too long; nothing where there is nothing to read. An address in it is not passed on: herald would
/// recommend what it has not read.
fn quoted(text: &str) -> Option<String> {
    let line = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty());
    let is_address = |word: &str| {
        word.contains("://") || word.to_lowercase().contains("www.") || word.contains("](")
    };
    let line = line
        .map(|word| if is_address(word) { "(link)" } else { word })
        .collect::<Vec<_>>()
        .join(" ");
    let short: String = line.chars().take(MAX_QUOTE_CHARS).collect();
    let cut = short.len() < line.len();
    (!line.is_empty()).then(|| {
        if cut {
            format!("{}…", short.trim_end())
        } else {
            short
        }
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Reactions with each of these emojis, over all channels: votes, where each stands for a choice.
pub fn votes(heard: &[Heard], emojis: &[&str]) -> Vec<u32> {
    let given = || heard.iter().flat_map(|h| &h.reactions);
    emojis
        .iter()
        .map(|wanted| count(given().filter(|r| same(&r.emoji, wanted)).count()))
        .collect()
}

/// Platforms differ in whether they keep the "as a picture" mark in an emoji, such as behind the 1 of "1️⃣".
pub fn same(a: &str, b: &str) -> bool {
    let bare = |emoji: &str| emoji.replace('\u{fe0f}', "");
    bare(a) == bare(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(reactions: &[(&str, &str)], replies: &[(&str, &str)]) -> Heard {
        let at = Timestamp::UNIX_EPOCH;
        let reaction = |(by, emoji): &(&str, &str)| Reaction {
            emoji: (*emoji).into(),
            by: (*by).into(),
            at: None,
        };
        let reply = |(by, text): &(&str, &str)| ThreadReply {
            by: (*by).into(),
            at,
            text: Some((*text).into()),
        };
        Heard {
            reactions: reactions.iter().map(reaction).collect(),
            replies: replies.iter().map(reply).collect(),
            unread: None,
        }
    }

    #[test]
    fn votes_are_summed_over_channels_however_a_number_is_written() {
        let one = [
            ("a", "1\u{fe0f}\u{20e3}"),
            ("b", "1\u{fe0f}\u{20e3}"),
            ("a", "2\u{20e3}"),
            ("c", "👍"),
        ];
        let heard = [
            heard(&one, &[]),
            heard(&[("d", "1\u{20e3}"), ("e", "1\u{20e3}\u{fe0f}")], &[]),
        ];
        assert_eq!(votes(&heard, &["1️⃣", "2️⃣", "3️⃣"]), [4, 1, 0]);
        assert_eq!(votes(&[], &["1️⃣"]), [0]);
    }

    #[test]
    fn a_person_counts_once_and_with_their_audience() {
        let meanings = [("👍", "fine"), ("⚠️", "problem")].map(|(e, m)| Meaning {
            emoji: e.into(),
            meaning: m.into(),
            problem: m == "problem",
        });
        // Mara is m1 in one channel and m2 in the other; nobody knows who x and y are.
        let voice = |_: &str, account: &str| match account {
            "m1" | "m2" => Voice {
                who: "Mara".into(),
                audience: Some(Audience::Validators),
            },
            other => Voice {
                who: other.into(),
                audience: None,
            },
        };
        let channels = [
            (
                "a".to_owned(),
                heard(
                    &[("m1", "⚠"), ("x", "👍"), ("y", "👍")],
                    &[("x", "It  is\nfine"), ("y", " ")],
                ),
            ),
            (
                "b".to_owned(),
                heard(
                    &[("m2", "⚠️"), ("m2", "🎉"), ("x", "🎉")],
                    &[("m2", &"long ".repeat(40))],
                ),
            ),
        ];
        let later = Timestamp::from_second(1).unwrap();
        let by_command = Words {
            voice: voice("", "m1"),
            at: later,
            text: Some("Sync took an hour".into()),
        };
        let summary = Summary::of(&channels.into(), &[by_command], &meanings, voice);
        let counts = |of: &[FeedbackCount]| {
            of.iter()
                .map(|c| (c.meaning.clone(), c.count))
                .collect::<Vec<_>>()
        };
        let pairs = |list: &[(&str, u32)]| {
            list.iter()
                .map(|(m, n)| ((*m).to_owned(), *n))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            counts(&summary.reactions),
            pairs(&[("fine", 2), ("problem", 1), ("other", 2)])
        );
        assert_eq!(summary.replies, 4);
        let of = |i: usize| {
            (
                summary.audiences[i].audience,
                counts(&summary.audiences[i].reactions),
                summary.audiences[i].replies,
            )
        };
        assert_eq!(
            of(0),
            (
                Some(Audience::Validators),
                pairs(&[("fine", 0), ("problem", 1), ("other", 1)]),
                2
            )
        );
        assert_eq!(
            of(1),
            (None, pairs(&[("fine", 2), ("problem", 0), ("other", 1)]), 2)
        );
        let quotes: Vec<&str> = summary.quotes.iter().map(|q| q.text.as_str()).collect();
        assert_eq!((quotes[0], quotes[1]), ("Sync took an hour", "It is fine"));
        assert!(
            quotes.len() == 3
                && quotes[2].chars().count() <= MAX_QUOTE_CHARS + 1
                && quotes[2].ends_with("long…"),
            "{quotes:?}"
        );
    }

    #[test]
    fn a_quote_is_one_line_of_its_length_without_addresses() {
        let long = "x".repeat(MAX_QUOTE_CHARS);
        let (longer, cut) = (format!("{long}y"), format!("{long}…"));
        let spaced = format!("{} y", "x".repeat(MAX_QUOTE_CHARS - 1));
        let rows = [
            ("", None),
            (" \u{7} ", None),
            ("two\nlines\u{7}here", Some("two lines here")),
            ("see https://example.org now", Some("see (link) now")),
            ("WWW.example.org", Some("(link)")),
            ("[a](example.org)", Some("(link)")),
            (long.as_str(), Some(long.as_str())),
            (longer.as_str(), Some(cut.as_str())),
        ];
        for (text, quote) in rows {
            assert_eq!(quoted(text).as_deref(), quote, "{text}");
        }
        let trimmed = format!("{}…", "x".repeat(MAX_QUOTE_CHARS - 1));
        assert_eq!(quoted(&spaced), Some(trimmed));
    }

    #[test]
    fn a_summary_has_the_newest_words_and_only_those_who_said_something() {
        let voice = |_: &str, account: &str| Voice {
            who: account.into(),
            audience: (account == "dev").then_some(Audience::Developers),
        };
        let words = |second, text: Option<&str>| Words {
            voice: voice("", "dev"),
            at: Timestamp::from_second(second).unwrap(),
            text: text.map(str::to_owned),
        };
        let said = [
            words(1, Some("first")),
            words(5, Some("last")),
            words(4, None),
            words(3, Some("third")),
            words(2, Some("second")),
            words(6, Some("last")),
        ];
        let channels = [
            ("a".to_owned(), heard(&[], &[])),
            ("b".to_owned(), heard(&[("y", "👍"), ("z", "👍")], &[])),
        ];
        let summary = Summary::of(&channels.clone().into(), &said, &[], voice);
        let quotes: Vec<&str> = summary.quotes.iter().map(|q| q.text.as_str()).collect();
        assert_eq!(quotes, ["last", "third", "second"]);
        let audiences: Vec<_> = summary
            .audiences
            .iter()
            .map(|a| (a.audience, a.replies, a.reactions.len()))
            .collect();
        assert_eq!(
            audiences,
            [(Some(Audience::Developers), 6, 0), (None, 0, 1)]
        );
        let tally = Tally {
            reactions: [("👍".to_owned(), 2)].into(),
            replies: 0,
        };
        assert_eq!(summary.channels["b"], tally);
        assert_eq!(heard(&[], &[("x", "hello")]).tally().replies, 1);
        let nothing = Summary::of(&BTreeMap::new(), &[], &[], voice);
        assert_eq!(nothing, Summary::default());
    }
}
