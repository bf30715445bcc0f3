//! What people can ask and tell herald in a chat: the same words on both platforms.
//!
//! On Matrix a command is a line, `!upgrade reschedule 2026-12-01 14:00 reason="nodes are late"`; on Discord its options
//! come by name. Both become an [`Order`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest that a reason or a note may be, so that its notice fits a post.
pub const LONGEST_REASON: usize = 160;
/// What people say for everybody, beside the plan.
pub const LONGEST_SAID: usize = 1_200;
pub const LONGEST_CORRECTION: usize = 240;
pub const LONGEST_FEEDBACK: usize = 500;

/// What is asked or told.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Status,
    Schedule,
    Checklist,
    Ack,
    Ready,
    Feedback,
    Withdraw,
    Subscribe,
    Help,
    Preview,
    Approve,
    Announce,
    Go,
    NoGo,
    Reschedule,
    Postpone,
    Cancel,
    Tick,
    Untick,
    Note,
    Say,
    Correct,
    Close,
    Roster,
    Report,
}

/// One thing that a command needs or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// What a part is: how it is read from a line, and what a platform may propose for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Topic,
    Code,
    Notice,
    /// One that herald knows, by its id; in a line by name only.
    Upgrade,
    /// `2026-12-01 14:00`, in the plan's zone, or `2026-12-01T13:00:00Z`.
    Time,
    /// `2h`
    Length,
    /// `2h`, or `off`
    Before,
    /// `process` or `validators`
    List,
    /// An item of the checklist, by its number.
    Item,
    /// A channel, as herald.yaml calls it, or `all`.
    Channel,
    /// One of the asker's own nodes, or a chain of theirs: the rest of the line.
    Node,
    /// The rest of the line, up to so many characters.
    Words(usize),
}

impl Kind {
    /// Whether what is left of a line may begin with one that need not be there: words begin with anything.
    fn may_be(self, rest: &str) -> bool {
        match self {
            Self::Time | Self::Length => rest.starts_with(|c: char| c.is_ascii_digit()),
            Self::Upgrade => false,
            _ => true,
        }
    }

    /// Whether a platform may propose some while people type.
    pub fn has_choices(self) -> bool {
        matches!(
            self,
            Self::Topic
                | Self::Code
                | Self::Notice
                | Self::Upgrade
                | Self::Before
                | Self::List
                | Self::Item
                | Self::Channel
                | Self::Node
        )
    }
}

const fn needs(name: &'static str, kind: Kind, about: &'static str) -> Part {
    Part {
        name,
        about,
        kind,
        required: true,
    }
}

const fn takes(name: &'static str, kind: Kind, about: &'static str) -> Part {
    Part {
        name,
        about,
        kind,
        required: false,
    }
}

const UPGRADE: Part = takes(
    "upgrade",
    Kind::Upgrade,
    "Which upgrade, by its id; without it, the one that is under way",
);
const REASON: &str = "Why, for people, in a few words";

impl Verb {
    pub const ALL: [Self; 25] = [
        Self::Status,
        Self::Schedule,
        Self::Checklist,
        Self::Ack,
        Self::Ready,
        Self::Feedback,
        Self::Withdraw,
        Self::Subscribe,
        Self::Help,
        Self::Preview,
        Self::Approve,
        Self::Announce,
        Self::Go,
        Self::NoGo,
        Self::Reschedule,
        Self::Postpone,
        Self::Cancel,
        Self::Tick,
        Self::Untick,
        Self::Note,
        Self::Say,
        Self::Correct,
        Self::Close,
        Self::Roster,
        Self::Report,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Schedule => "schedule",
            Self::Checklist => "checklist",
            Self::Ack => "ack",
            Self::Ready => "ready",
            Self::Feedback => "feedback",
            Self::Withdraw => "withdraw",
            Self::Subscribe => "subscribe",
            Self::Help => "help",
            Self::Preview => "preview",
            Self::Approve => "approve",
            Self::Announce => "announce",
            Self::Go => "go",
            Self::NoGo => "no-go",
            Self::Reschedule => "reschedule",
            Self::Postpone => "postpone",
            Self::Cancel => "cancel",
            Self::Tick => "tick",
            Self::Untick => "untick",
            Self::Note => "note",
            Self::Say => "say",
            Self::Correct => "correct",
            Self::Close => "close",
            Self::Roster => "roster",
            Self::Report => "report",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::Status => "Where the upgrade stands, and what you must do",
            Self::Schedule => "When the upgrade is, and what is posted when",
            Self::Checklist => "What is done, and what is still to be done",
            Self::Ack => "Your provider has seen what was asked last, and answers",
            Self::Ready => "Your provider's nodes, or one of them, run what is asked for",
            Self::Feedback => "Tell us how the upgrade went for you",
            Self::Subscribe => "Be reminded in private before the window opens",
            Self::Withdraw => "Take back what you have told us by the command feedback",
            Self::Help => "What to do about a problem",
            Self::Preview => "For the team: what a notice will say here",
            Self::Approve => "For the team: agree to a text before it is posted",
            Self::Announce => "For the team: agree to a planned notice, and post it now",
            Self::Go => "For the team: the final checks are passed",
            Self::NoGo => "For the team: they are not; notices by the clock are held",
            Self::Reschedule => "For the team: move the window to another time",
            Self::Postpone => "For the team: move the window back by some time",
            Self::Cancel => "For the team: take the upgrade off",
            Self::Tick => "For the team: an item of the checklist is done",
            Self::Untick => "For the team: an item of the checklist is not done after all",
            Self::Note => "For the team: add a line to the status",
            Self::Say => "For the team: post something that nobody planned",
            Self::Correct => "For the team: put a correction on top of a post that is out",
            Self::Close => "For the team: close feedback now, and count it",
            Self::Roster => "For the team: which providers have answered, and which are ready",
            Self::Report => "For the team: the upgrade in figures, plan against what happened",
        }
    }

    pub fn parts(self) -> &'static [Part] {
        const WHY: Part = needs("reason", Kind::Words(LONGEST_REASON), REASON);
        const PERHAPS_WHY: Part = takes("reason", Kind::Words(LONGEST_REASON), REASON);
        match self {
            Self::Status
            | Self::Schedule
            | Self::Ack
            | Self::Withdraw
            | Self::Go
            | Self::Close
            | Self::Roster
            | Self::Report => const { &[UPGRADE] },
            Self::Checklist => {
                const {
                    &[
                        takes(
                            "part",
                            Kind::List,
                            "process, or validators; without it, what fits the moment",
                        ),
                        UPGRADE,
                    ]
                }
            }
            Self::Ready => {
                const {
                    &[
                        takes(
                            "node",
                            Kind::Node,
                            "One node, or a chain's; without it, all of yours",
                        ),
                        UPGRADE,
                    ]
                }
            }
            Self::Subscribe => {
                const {
                    &[
                        takes(
                            "before",
                            Kind::Before,
                            "How long before: 30m, 2h or 1d; off to stop it",
                        ),
                        UPGRADE,
                    ]
                }
            }
            Self::Feedback => {
                const {
                    &[
                        needs("text", Kind::Words(LONGEST_FEEDBACK), "In your own words"),
                        UPGRADE,
                    ]
                }
            }
            Self::Tick => {
                const {
                    &[
                        needs("item", Kind::Item, "The item's number: 2.1"),
                        takes(
                            "remark",
                            Kind::Words(LONGEST_REASON),
                            "Where it can be seen, or what is left",
                        ),
                        UPGRADE,
                    ]
                }
            }
            Self::Untick => {
                const { &[needs("item", Kind::Item, "The item's number: 2.1"), UPGRADE] }
            }
            Self::Announce => {
                const {
                    &[
                        needs("notice", Kind::Notice, "The notice's id in the plan"),
                        UPGRADE,
                    ]
                }
            }
            Self::Note => {
                const {
                    &[
                        needs(
                            "text",
                            Kind::Words(LONGEST_REASON),
                            "One line, for everybody",
                        ),
                        UPGRADE,
                    ]
                }
            }
            Self::Say => {
                const {
                    &[
                        needs(
                            "channel",
                            Kind::Channel,
                            "The channel's name in herald.yaml, or all",
                        ),
                        needs(
                            "text",
                            Kind::Words(LONGEST_SAID),
                            "The words, for everybody there",
                        ),
                        UPGRADE,
                    ]
                }
            }
            Self::Correct => {
                const {
                    &[
                        needs(
                            "post",
                            Kind::Notice,
                            "The notice's id: the last post of it, in all channels",
                        ),
                        needs("text", Kind::Words(LONGEST_CORRECTION), "What is right"),
                        UPGRADE,
                    ]
                }
            }
            Self::Help => {
                const {
                    &[takes(
                        "topic",
                        Kind::Topic,
                        "The problem; without one, what there is help on",
                    )]
                }
            }
            Self::Preview => {
                const {
                    &[
                        needs("notice", Kind::Notice, "The notice's id in the plan"),
                        UPGRADE,
                    ]
                }
            }
            Self::Approve => const { &[needs("code", Kind::Code, "The code above the text")] },
            Self::NoGo | Self::Cancel => const { &[WHY, UPGRADE] },
            Self::Reschedule => {
                const {
                    &[
                        needs(
                            "opens",
                            Kind::Time,
                            "When the window opens: 2026-12-01 14:00 in the plan's zone",
                        ),
                        takes(
                            "closes",
                            Kind::Time,
                            "When it closes; without it, as long after as before",
                        ),
                        PERHAPS_WHY,
                        UPGRADE,
                    ]
                }
            }
            Self::Postpone => {
                const {
                    &[
                        needs(
                            "by",
                            Kind::Length,
                            "By how much: 2h, or 1d for the same hour of the next day",
                        ),
                        PERHAPS_WHY,
                        UPGRADE,
                    ]
                }
            }
        }
    }

    /// Whether it is for the communication team and operators, as long as nothing else is said.
    pub fn is_privileged(self) -> bool {
        !matches!(
            self,
            Self::Status
                | Self::Schedule
                | Self::Checklist
                | Self::Ack
                | Self::Ready
                | Self::Feedback
                | Self::Withdraw
                | Self::Subscribe
                | Self::Help
        )
    }

    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }
}

/// A command as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub verb: Verb,
    values: BTreeMap<&'static str, String>,
}

/// Why a command was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misread {
    #[error("there is no command {0}")]
    Verb(String),
    #[error("{} needs {}: {}", .verb.name(), .part.name, .part.about)]
    Missing { verb: Verb, part: Part },
    #[error("{} takes no {word}", .verb.name())]
    TooMuch { verb: Verb, word: String },
    #[error("{} has {length} characters; {most} fit", .part.name)]
    TooLong {
        part: Part,
        length: usize,
        most: usize,
    },
    #[error("a quotation mark is not closed")]
    Unclosed,
}

/// As a line that makes the same order.
impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.verb.name())?;
        for part in self.verb.parts() {
            match self.get(part.name) {
                Some(value) if value.contains(char::is_whitespace) => {
                    write!(f, " {}=\"{value}\"", part.name)?
                }
                Some(value) => write!(f, " {}={value}", part.name)?,
                None => {}
            }
        }
        Ok(())
    }
}

impl Order {
    pub fn new(verb: Verb) -> Self {
        Self {
            verb,
            values: BTreeMap::new(),
        }
    }

    pub fn get(&self, part: &str) -> Option<&str> {
        self.values.get(part).map(String::as_str)
    }

    /// A part that the command needs, and so has.
    pub fn need(&self, part: &str) -> &str {
        self.get(part).unwrap_or_default()
    }

    /// From named options, as Discord gives them.
    pub fn from_options<'a>(
        verb: &str,
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Misread> {
        let mut order =
            Self::new(Verb::by_name(verb).ok_or_else(|| Misread::Verb(verb.to_owned()))?);
        for (name, value) in options {
            let Some(part) = order.verb.parts().iter().find(|p| p.name == name) else {
                return Err(Misread::TooMuch {
                    verb: order.verb,
                    word: name.to_owned(),
                });
            };
            order.set(part, value)?;
        }
        order.whole()
    }

    /// From the words of a line, the command's own name left out: values in their order, or by name (`opens=…`), with
    /// quotation marks where they have spaces. The last words need none.
    pub fn from_line(line: &str) -> Result<Self, Misread> {
        Self::read(line)?.whole()
    }

    /// A line that lacks something, with what was asked for afterwards.
    pub fn completed<'a>(
        line: &str,
        rest: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Misread> {
        let mut order = Self::read(line)?;
        for (name, value) in rest {
            if let Some(part) = order.verb.parts().iter().find(|p| p.name == name) {
                order.set(part, value)?;
            }
        }
        order.whole()
    }

    /// What a line says, whole or not.
    fn read(line: &str) -> Result<Self, Misread> {
        let mut rest = line.trim_start();
        let (verb, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if verb.is_empty() {
            return Ok(Self::new(Verb::Status));
        }
        let mut order =
            Self::new(Verb::by_name(verb).ok_or_else(|| Misread::Verb(verb.to_owned()))?);
        rest = after.trim();
        while !rest.is_empty() {
            let named = rest.split_once('=').and_then(|(name, value)| {
                let part = order
                    .verb
                    .parts()
                    .iter()
                    .find(|p| p.name == name.to_lowercase() && order.get(p.name).is_none())?;
                Some((part, value))
            });
            let next =
                || {
                    order.verb.parts().iter().find(|p| {
                        order.get(p.name).is_none() && (p.required || p.kind.may_be(rest))
                    })
                };
            let Some((part, value)) = named.or_else(|| next().map(|part| (part, rest))) else {
                return Err(Misread::TooMuch {
                    verb: order.verb,
                    word: rest.to_owned(),
                });
            };
            let others: Vec<&str> = order
                .verb
                .parts()
                .iter()
                .map(|p| p.name)
                .filter(|n| order.get(n).is_none() && *n != part.name)
                .collect();
            let (value, after) = taken(part.kind, value, named.is_some(), &others)?;
            order.set(part, &value)?;
            rest = after.trim_start();
        }
        Ok(order)
    }

    fn set(&mut self, part: &Part, value: &str) -> Result<(), Misread> {
        let value = value.trim();
        let value = if matches!(part.kind, Kind::Code | Kind::Topic) {
            value.to_lowercase()
        } else {
            value.to_owned()
        };
        let (length, most) = (
            value.chars().count(),
            if let Kind::Words(most) = part.kind {
                most
            } else {
                200
            },
        );
        if length > most {
            return Err(Misread::TooLong {
                part: *part,
                length,
                most,
            });
        }
        if length > 0 {
            self.values.insert(part.name, value);
        }
        Ok(())
    }

    fn whole(self) -> Result<Self, Misread> {
        match self
            .verb
            .parts()
            .iter()
            .find(|p| p.required && self.get(p.name).is_none())
        {
            Some(part) => Err(Misread::Missing {
                verb: self.verb,
                part: *part,
            }),
            None => Ok(self),
        }
    }
}

/// The value at the beginning of `text`, and what comes after it. Words go on to the end, or to another part by its name.
fn taken<'a>(
    kind: Kind,
    text: &'a str,
    named: bool,
    others: &[&str],
) -> Result<(String, &'a str), Misread> {
    for (open, close) in [('"', '"'), ('“', '”'), ('„', '“')] {
        if let Some(inside) = text.strip_prefix(open) {
            return match inside.split_once(close) {
                Some((value, after)) => Ok((value.to_owned(), after)),
                None => Err(Misread::Unclosed),
            };
        }
    }
    if matches!(kind, Kind::Words(_) | Kind::Node) && !named {
        let starts = text
            .char_indices()
            .filter(|(_, c)| c.is_whitespace())
            .map(|(i, c)| i + c.len_utf8());
        let is_other = |at: &usize| {
            others.iter().any(|n| {
                text.get(*at..)
                    .and_then(|t| t.strip_prefix(n))
                    .is_some_and(|t| t.starts_with('='))
            })
        };
        let (words, after) = text.split_at(starts.into_iter().find(is_other).unwrap_or(text.len()));
        return Ok((words.to_owned(), after));
    }
    let (word, after) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let after = after.trim_start();
    if kind == Kind::Time {
        // A date and an hour are one time.
        let (hour, behind) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        let is_hour = hour.split_once(':').is_some_and(|(h, m)| {
            [h, m]
                .iter()
                .all(|n| n.len() <= 2 && n.parse::<u8>().is_ok())
        });
        if is_hour {
            return Ok((format!("{word} {hour}"), behind));
        }
    }
    Ok((word.to_owned(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> Vec<String> {
        let order = Order::from_line(line).unwrap();
        let values = order
            .values
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        std::iter::once(order.verb.name().to_owned())
            .chain(values)
            .collect()
    }

    #[test]
    fn a_line_is_read_in_order_by_name_and_with_quotation_marks() {
        assert_eq!(line(""), ["status"]);
        assert_eq!(line("  Status "), ["status"]);
        assert_eq!(line("help Import"), ["help", "topic: import"]);
        assert_eq!(line("approve K7M2QX"), ["approve", "code: k7m2qx"]);
        assert_eq!(
            line("no-go Two nodes don't sync."),
            ["no-go", "reason: Two nodes don't sync."]
        );
        assert_eq!(
            line("reschedule 2026-12-01 14:00"),
            ["reschedule", "opens: 2026-12-01 14:00"]
        );
        assert_eq!(
            line("reschedule 2026-12-01T13:00:00Z"),
            ["reschedule", "opens: 2026-12-01T13:00:00Z"]
        );
        assert_eq!(
            line("reschedule 2026-12-01 14:00 2026-12-01 16:00 nodes are late"),
            [
                "reschedule",
                "closes: 2026-12-01 16:00",
                "opens: 2026-12-01 14:00",
                "reason: nodes are late"
            ]
        );
        assert_eq!(
            line("reschedule 2026-12-01 14:00 nodes are late")[2..],
            ["reason: nodes are late"]
        );
        assert_eq!(
            line("reschedule reason=\"nodes are late\" opens=2026-12-01 14:00"),
            [
                "reschedule",
                "opens: 2026-12-01 14:00",
                "reason: nodes are late"
            ]
        );
        assert_eq!(
            line("postpone 2h “the nodes = late”"),
            ["postpone", "by: 2h", "reason: the nodes = late"]
        );
        assert_eq!(line("go upgrade=v2.3.1"), ["go", "upgrade: v2.3.1"]);
        assert_eq!(
            line("no-go upgrade=v2 nodes are late"),
            ["no-go", "reason: nodes are late", "upgrade: v2"]
        );
        assert_eq!(
            line("ready My Node/1 upgrade=v2"),
            ["ready", "node: My Node/1", "upgrade: v2"]
        );
        assert_eq!(
            line("say all We are back."),
            ["say", "channel: all", "text: We are back."]
        );
        // Of another upgrade, wherever that is said: never the one that is under way instead.
        assert_eq!(
            line("cancel It rains, isn't it? upgrade=v3"),
            ["cancel", "reason: It rains, isn't it?", "upgrade: v3"]
        );
        assert_eq!(
            line("cancel \"It rains\" upgrade=v3"),
            ["cancel", "reason: It rains", "upgrade: v3"]
        );
        assert_eq!(
            line("cancel 'tis over, isn't it"),
            ["cancel", "reason: 'tis over, isn't it"]
        );
    }

    #[test]
    fn what_is_not_understood_says_what_is_missing() {
        let said = |line: &str| Order::from_line(line).unwrap_err().to_string();
        assert_eq!(said("sing"), "there is no command sing");
        assert_eq!(
            said("approve"),
            "approve needs code: The code above the text"
        );
        assert_eq!(said("go now"), "go takes no now");
        assert_eq!(said("postpone 2h \"late"), "a quotation mark is not closed");
        assert_eq!(
            said(&format!("cancel {}", "x".repeat(161))),
            "reason has 161 characters; 160 fit"
        );
        assert_eq!(
            Order::from_options("go", [("now", "1")])
                .unwrap_err()
                .to_string(),
            "go takes no now"
        );
    }

    #[test]
    fn options_by_name_make_the_same_order_as_a_line() {
        let options = [("reason", " late "), ("opens", "2026-12-01 14:00")];
        let order = Order::from_options("reschedule", options).unwrap();
        assert_eq!(
            order,
            Order::from_line("reschedule 2026-12-01 14:00 reason=late").unwrap()
        );
        assert_eq!(
            (order.need("opens"), order.get("closes")),
            ("2026-12-01 14:00", None)
        );
    }

    #[test]
    fn every_command_fits_what_discord_takes() {
        for verb in Verb::ALL {
            assert_eq!(Verb::by_name(verb.name()), Some(verb));
            let named = verb
                .parts()
                .iter()
                .map(|p| (p.name, p.about))
                .chain([(verb.name(), verb.about())]);
            for (name, about) in named {
                assert!(
                    name.len() <= 32 && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                    "{name}"
                );
                assert!((1..=100).contains(&about.chars().count()), "{about}");
            }
            let mut parts = verb.parts().iter().skip_while(|p| p.required);
            assert!(
                parts.all(|p| !p.required),
                "what {} needs comes first",
                verb.name()
            );
        }
    }
}
