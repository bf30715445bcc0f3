//! The commands that people give in a chat: the same words on both platforms.
//!
//! On Matrix a command is a line, `!upgrade reschedule 2026-12-01 14:00 reason="nodes are late"`; on Discord its options
//! come by name. Both become a [`Command`], whose parts have types. The table below is the only list of commands:
//! registration on Discord, reading a line, permissions, help and proposals are made from it.

use std::{collections::BTreeMap, fmt};

use strum::VariantArray as _;
use thiserror::Error;

use super::value::{Channels, ChecklistPart, Confirmed, Delay, PartValue, PlanTime, Reminder};
use crate::domain::text;

/// A reason or a note is no longer than this, so that its notice fits a post.
pub const MAX_REASON_CHARS: usize = 160;
/// Words that nobody planned stand alone in a post.
pub const MAX_SAID_CHARS: usize = 1_200;
pub const MAX_CORRECTION_CHARS: usize = 240;
pub const MAX_FEEDBACK_CHARS: usize = 500;
/// Any other part is a name, a time or a length.
const MAX_NAME_CHARS: usize = 200;

/// One thing that a command needs or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// A part's kind decides how it is read from a line, and what a platform may propose for it.
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
    /// `yes`; in a line by name only.
    Confirm,
    /// The rest of the line, up to so many characters.
    Words(usize),
}

impl Kind {
    /// Returns whether what is left of a line may begin with one that need not be there: words begin with anything.
    fn may_be(self, rest: &str) -> bool {
        match self {
            Self::Time | Self::Length => rest.starts_with(|c: char| c.is_ascii_digit()),
            Self::Upgrade | Self::Confirm => false,
            Self::Topic
            | Self::Code
            | Self::Notice
            | Self::Before
            | Self::List
            | Self::Item
            | Self::Channel
            | Self::Node
            | Self::Words(_) => true,
        }
    }

    /// Returns whether a platform may propose some while people type.
    pub fn has_choices(self) -> bool {
        !matches!(self, Self::Time | Self::Length | Self::Words(_))
    }

    fn max_chars(self) -> usize {
        match self {
            Self::Words(most) => most,
            _ => MAX_NAME_CHARS,
        }
    }
}

/// A command is given by those people, as long as people.yaml says nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Everybody,
    /// The communication team and operators, among operators.
    Team,
    /// The team, but by an account that people.yaml lists: an approval is a person's.
    ListedTeam,
    /// Whoever has a role, among operators: an item of the checklist has a role of its own.
    AnyRole,
}

/// The type of a kind's values: a text, unless it says more.
macro_rules! value_type {
    (Time) => {
        PlanTime
    };
    (Length) => {
        Delay
    };
    (Before) => {
        Reminder
    };
    (List) => {
        ChecklistPart
    };
    (Channel) => {
        Channels
    };
    (Confirm) => {
        Confirmed
    };
    ($text:ident) => {
        String
    };
}

/// The type of a part: that of its kind, or an `Option` of it where the command only takes it.
macro_rules! part_type {
    (needs $kind:ident) => { value_type!($kind) };
    (takes $kind:ident) => { Option<value_type!($kind)> };
}

macro_rules! is_required {
    (needs) => {
        true
    };
    (takes) => {
        false
    };
}

/// Makes [`Verb`] and [`Command`] from the table.
macro_rules! commands {
    ($($rights:ident $verb:ident $about:literal {
        $($part:ident: $must:ident $kind:ident $(($most:expr))? $hint:literal,)*
    } $(of $upgrade:ident)?;)*) => {
        /// A command's name.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
        )]
        #[strum(serialize_all = "kebab-case", ascii_case_insensitive)]
        pub enum Verb {
            $(#[doc = $about] $verb,)*
        }

        impl Verb {
            pub fn about(self) -> &'static str {
                match self { $(Self::$verb => $about,)* }
            }

            pub fn rights(self) -> Rights {
                match self { $(Self::$verb => Rights::$rights,)* }
            }

            pub fn parts(self) -> &'static [Part] {
                match self {
                    $(Self::$verb => const { &[
                        $(Part {
                            name: stringify!($part),
                            about: $hint,
                            kind: Kind::$kind $(($most))?,
                            required: is_required!($must),
                        },)*
                        $(Part {
                            name: stringify!($upgrade),
                            about: "Which upgrade, by its id; without it, the one that is under way",
                            kind: Kind::Upgrade,
                            required: false,
                        },)?
                    ] },)*
                }
            }
        }

        /// A command as it was understood.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            $(
                #[doc = $about]
                $verb { $($part: part_type!($must $kind),)* $($upgrade: Option<String>,)? },
            )*
        }

        impl Command {
            pub fn verb(&self) -> Verb {
                match self { $(Self::$verb { .. } => Verb::$verb,)* }
            }

            /// The upgrade that it names; without one, that which is under way is meant.
            pub fn upgrade(&self) -> Option<&str> {
                match self {
                    $(Self::$verb { $($upgrade,)? .. } => {
                        None::<&str>$(.or($upgrade.as_deref()))?
                    })*
                }
            }

            fn from_values(values: &Values) -> Result<Self, Misread> {
                Ok(match values.verb {
                    $(Verb::$verb => Self::$verb {
                        $($part: values.$must(stringify!($part))?,)*
                        $($upgrade: values.takes(stringify!($upgrade))?,)?
                    },)*
                })
            }

            /// Returns its parts by name, as a person would write them.
            fn written(&self) -> Vec<(&'static str, Option<String>)> {
                match self {
                    $(Self::$verb { $($part,)* $($upgrade,)? } => vec![
                        $((stringify!($part), $part.written()),)*
                        $((stringify!($upgrade), $upgrade.written()),)?
                    ],)*
                }
            }
        }
    };
}

// Rights, verb, what it is for, its parts in the order of a line, and whether it is of one upgrade.
commands! {
    Everybody Status "Where the upgrade stands, and what you must do" {} of upgrade;
    Everybody Schedule "When the upgrade is, and what is posted when" {} of upgrade;
    Everybody Checklist "What is done, and what is still to be done" {
        part: takes List "process, or validators; without it, what fits the moment",
    } of upgrade;
    Everybody Ack "Your provider has seen what was asked last, and answers" {} of upgrade;
    Everybody Ready "Your provider's nodes, or one of them, run what is asked for" {
        node: takes Node "One node, or a chain's; without it, all of yours",
    } of upgrade;
    Everybody Feedback "Tell us how the upgrade went for you" {
        text: needs Words(MAX_FEEDBACK_CHARS) "In your own words",
    } of upgrade;
    Everybody Withdraw "Take back what you have told us by the command feedback" {} of upgrade;
    Everybody Subscribe "Be reminded in private before the window opens" {
        before: takes Before "How long before: 30m, 2h or 1d; off to stop it",
    } of upgrade;
    Everybody Help "What to do about a problem" {
        topic: takes Topic "The problem; without one, what there is help on",
    };
    Team Preview "For the team: what a notice will say here" {
        notice: needs Notice "The notice's id in the plan",
    } of upgrade;
    ListedTeam Approve "For the team: agree to a text before it is posted" {
        code: needs Code "The code above the text",
    };
    Team Announce "For the team: agree to a planned notice, and post it now" {
        notice: needs Notice "The notice's id in the plan",
    } of upgrade;
    Team Go "For the team: the final checks are passed" {} of upgrade;
    Team NoGo "For the team: they are not; notices by the clock are held" {
        reason: needs Words(MAX_REASON_CHARS) "Why, for people, in a few words",
    } of upgrade;
    Team Reschedule "For the team: move the window to another time" {
        opens: needs Time "When the window opens: 2026-12-01 14:00 in the plan's zone",
        closes: takes Time "When it closes; without it, as long after as before",
        confirm: takes Confirm "yes, once you have read what is posted",
        reason: takes Words(MAX_REASON_CHARS) "Why, for people, in a few words",
    } of upgrade;
    Team Postpone "For the team: move the window back by some time" {
        by: needs Length "By how much: 2h, or 1d for the same hour of the next day",
        confirm: takes Confirm "yes, once you have read what is posted",
        reason: takes Words(MAX_REASON_CHARS) "Why, for people, in a few words",
    } of upgrade;
    Team Cancel "For the team: take the upgrade off" {
        reason: needs Words(MAX_REASON_CHARS) "Why, for people, in a few words",
        confirm: takes Confirm "yes, once you have read what is posted",
    } of upgrade;
    AnyRole Tick "For the team: an item of the checklist is done" {
        item: needs Item "The item's number: 2.1",
        remark: takes Words(MAX_REASON_CHARS) "Where it can be seen, or what is left",
    } of upgrade;
    AnyRole Untick "For the team: an item of the checklist is not done after all" {
        item: needs Item "The item's number: 2.1",
    } of upgrade;
    Team Note "For the team: add a line to the status" {
        text: needs Words(MAX_REASON_CHARS) "One line, for everybody",
    } of upgrade;
    Team Say "For the team: post something that nobody planned" {
        channel: needs Channel "The channel's name in herald.yaml, or all",
        text: needs Words(MAX_SAID_CHARS) "The words, for everybody there",
    } of upgrade;
    Team Correct "For the team: put a correction on top of a post that is out" {
        post: needs Notice "The notice's id: the last post of it, in all channels",
        text: needs Words(MAX_CORRECTION_CHARS) "What is right",
    } of upgrade;
    Team Close "For the team: close feedback now, and count it" {} of upgrade;
    Team Roster "For the team: which providers have answered, and which are ready" {} of upgrade;
    Team Report "For the team: the upgrade in figures, plan against what happened" {} of upgrade;
}

impl Verb {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns whether it is for fewer than everybody.
    pub fn is_privileged(self) -> bool {
        self.rights() != Rights::Everybody
    }

    pub fn by_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    fn part(self, name: &str) -> Option<&'static Part> {
        self.parts().iter().find(|part| part.name == name)
    }
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
    /// The text stands for nothing of the part's kind.
    #[error("{} {text} is nothing that {} takes", .part.name, .verb.name())]
    Unreadable {
        verb: Verb,
        part: Part,
        text: String,
    },
    #[error("a quotation mark is not closed")]
    Unclosed,
}

/// As a line that makes the same command.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb().name())?;
        for (name, value) in self.written() {
            match value {
                Some(value) if value.contains(char::is_whitespace) => {
                    write!(f, " {name}=\"{value}\"")?
                }
                Some(value) => write!(f, " {name}={value}")?,
                None => {}
            }
        }
        Ok(())
    }
}

impl Command {
    /// From named options, as Discord gives them.
    pub fn from_options<'a>(
        verb: &str,
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Misread> {
        let mut values = Values::named(verb)?;
        for (name, value) in options {
            let Some(part) = values.verb.part(name) else {
                return Err(Misread::TooMuch {
                    verb: values.verb,
                    word: name.to_owned(),
                });
            };
            values.set(part, value)?;
        }
        Self::from_values(&values)
    }

    /// From the words of a line, the command's own name left out: values in their order, or by name (`opens=…`), with
    /// quotation marks where they have spaces. The last words need none.
    pub fn from_line(line: &str) -> Result<Self, Misread> {
        Self::from_values(&Values::read(line)?)
    }

    /// A line that lacks something, with what was asked for afterwards.
    pub fn completed<'a>(
        line: &str,
        rest: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Misread> {
        let mut values = Values::read(line)?;
        for (name, value) in rest {
            if let Some(part) = values.verb.part(name) {
                values.set(part, value)?;
            }
        }
        Self::from_values(&values)
    }
}

/// The texts of a command's parts while it is read.
struct Values {
    verb: Verb,
    texts: BTreeMap<&'static str, String>,
}

impl Values {
    fn named(verb: &str) -> Result<Self, Misread> {
        Ok(Self {
            verb: Verb::by_name(verb).ok_or_else(|| Misread::Verb(verb.to_owned()))?,
            texts: BTreeMap::new(),
        })
    }

    /// Reads a line, whole or not.
    fn read(line: &str) -> Result<Self, Misread> {
        let mut rest = line.trim_start();
        let (verb, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let mut values = Self::named(if verb.is_empty() {
            Verb::Status.name()
        } else {
            verb
        })?;
        rest = after.trim();
        while !rest.is_empty() {
            let open = |part: &&Part| !values.texts.contains_key(part.name);
            let parts = || values.verb.parts().iter().filter(open);
            let named = rest.split_once('=').and_then(|(name, value)| {
                let name = name.to_lowercase();
                Some((parts().find(|part| part.name == name)?, value))
            });
            let next = || parts().find(|part| part.required || part.kind.may_be(rest));
            let Some((part, value)) = named.or_else(|| Some((next()?, rest))) else {
                return Err(Misread::TooMuch {
                    verb: values.verb,
                    word: rest.to_owned(),
                });
            };
            let others: Vec<&str> = parts()
                .map(|other| other.name)
                .filter(|name| *name != part.name)
                .collect();
            let (value, after) = taken(part.kind, value, named.is_some(), &others)?;
            values.set(part, &value)?;
            rest = after.trim_start();
        }
        Ok(values)
    }

    fn set(&mut self, part: &'static Part, value: &str) -> Result<(), Misread> {
        let mut value = text::plain(value);
        if matches!(part.kind, Kind::Code | Kind::Topic) {
            value = value.to_lowercase();
        }
        if part.name == "reason" && !value.is_empty() && !text::says_something(&value) {
            return Err(Misread::Unreadable {
                verb: self.verb,
                part: *part,
                text: value,
            });
        }
        let (length, most) = (value.chars().count(), part.kind.max_chars());
        if length > most {
            return Err(Misread::TooLong {
                part: *part,
                length,
                most,
            });
        }
        if length > 0 {
            self.texts.insert(part.name, value);
        }
        Ok(())
    }

    fn takes<T: PartValue>(&self, name: &str) -> Result<Option<T>, Misread> {
        let (Some(text), Some(part)) = (self.texts.get(name), self.verb.part(name)) else {
            return Ok(None);
        };
        T::read(text).map(Some).ok_or_else(|| Misread::Unreadable {
            verb: self.verb,
            part: *part,
            text: text.clone(),
        })
    }

    fn needs<T: PartValue>(&self, name: &str) -> Result<T, Misread> {
        let missing = || match self.verb.part(name) {
            Some(part) => Misread::Missing {
                verb: self.verb,
                part: *part,
            },
            None => Misread::Verb(self.verb.name().to_owned()),
        };
        self.takes(name)?.ok_or_else(missing)
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
    use std::collections::BTreeSet;

    use super::*;

    fn line(line: &str) -> Vec<String> {
        let command = Command::from_line(line).unwrap();
        let mut values: Vec<String> = command
            .written()
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}: {}", value?)))
            .collect();
        values.sort();
        std::iter::once(command.verb().name().to_owned())
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
        let said = |line: &str| Command::from_line(line).unwrap_err().to_string();
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
            Command::from_options("go", [("now", "1")])
                .unwrap_err()
                .to_string(),
            "go takes no now"
        );
    }

    #[test]
    fn options_by_name_make_the_same_order_as_a_line() {
        let options = [("reason", " late "), ("opens", "2026-12-01 14:00")];
        let order = Command::from_options("reschedule", options).unwrap();
        assert_eq!(
            order,
            Command::from_line("reschedule 2026-12-01 14:00 reason=late").unwrap()
        );
        assert!(
            matches!(&order, Command::Reschedule { opens, closes: None, .. } if opens.to_string() == "2026-12-01 14:00"),
            "{order:?}"
        );
    }

    #[test]
    fn every_command_fits_what_discord_takes() {
        for &verb in Verb::ALL {
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

    #[test]
    fn a_command_is_written_as_a_line_that_makes_it_again() {
        for text in [
            "status",
            "no-go reason=\"nodes are late\" upgrade=v2",
            "reschedule opens=\"2026-12-01 14:00\" reason=late",
            "subscribe before=2h",
            "say channel=all text=hello",
        ] {
            assert_eq!(Command::from_line(text).unwrap().to_string(), text);
        }
        let upgrade = |text: &str| {
            let command = Command::from_line(text).unwrap();
            command.upgrade().map(str::to_owned)
        };
        assert_eq!(upgrade("go upgrade=v2").as_deref(), Some("v2"));
        assert_eq!((upgrade("go"), upgrade("help import")), (None, None));
    }

    #[test]
    fn a_part_is_told_from_words_by_its_kind() {
        let rows: [(&str, &[&str]); 11] = [
            ("subscribe 2h", &["subscribe", "before: 2h"]),
            ("checklist process", &["checklist", "part: process"]),
            ("tick 2.1", &["tick", "item: 2.1"]),
            (
                "tick 2.1 all done",
                &["tick", "item: 2.1", "remark: all done"],
            ),
            (
                "correct applied at noon",
                &["correct", "post: applied", "text: at noon"],
            ),
            ("preview Reminder", &["preview", "notice: Reminder"]),
            ("note REASON=x y", &["note", "text: REASON=x y"]),
            ("note TEXT=x", &["note", "text: x"]),
            (
                "cancel „it rains“ upgrade=v2",
                &["cancel", "reason: it rains", "upgrade: v2"],
            ),
            (
                "reschedule opens=2026-12-01T14:00 reason=late",
                &["reschedule", "opens: 2026-12-01 14:00", "reason: late"],
            ),
            ("ready A/1 upgrades=v2", &["ready", "node: A/1 upgrades=v2"]),
        ];
        for (text, expected) in rows {
            assert_eq!(line(text), expected, "{text}");
        }
        // What is no hour belongs to the next part.
        for text in ["14:00h", "140:0", "1400"] {
            let error =
                Command::from_line(&format!("reschedule 2026-12-01T14:00 {text}")).unwrap_err();
            let expected = format!("closes {text} is nothing that reschedule takes");
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(
            line("reschedule 2026-12-01T14:00 x:00"),
            ["reschedule", "opens: 2026-12-01 14:00", "reason: x:00"]
        );
        let longest = "x".repeat(MAX_REASON_CHARS);
        assert_eq!(
            line(&format!("cancel {longest}"))[1],
            format!("reason: {longest}")
        );
    }

    #[test]
    fn a_line_that_lacks_something_is_completed() {
        let completed = |line: &str, rest: &[(&str, &str)]| {
            let command = Command::completed(line, rest.iter().copied());
            command.map_or_else(|error| error.to_string(), |command| command.to_string())
        };
        assert_eq!(
            completed("cancel upgrade=v2", &[("reason", "rain"), ("other", "x")]),
            "cancel reason=rain upgrade=v2"
        );
        assert_eq!(
            completed("cancel", &[("reason", " ")]),
            "cancel needs reason: Why, for people, in a few words"
        );
        assert_eq!(
            completed("postpone", &[("by", "soon")]),
            "by soon is nothing that postpone takes"
        );
    }

    #[test]
    fn platforms_propose_what_is_one_of_some() {
        let proposed: BTreeSet<&str> = Verb::ALL
            .iter()
            .flat_map(|verb| verb.parts())
            .filter(|part| part.kind.has_choices())
            .map(|part| part.name)
            .collect();
        let expected = [
            "before", "channel", "code", "confirm", "item", "node", "notice", "part", "post",
            "topic", "upgrade",
        ];
        assert_eq!(proposed, expected.into());
    }
}
