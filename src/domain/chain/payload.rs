//! Payloads: what a fact says besides its kind, such as versions, a referendum's step, an error's name or a count.
//!
//! The store and the templates have it as text, `detail`. That text is written and read here, and nowhere else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString};

use crate::domain::chain::fact_kind::FactKind;
use crate::domain::plan::notice::Happening;

/// The data of a fact, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The code's hash, where the block named it.
    Authorized {
        code_hash: Option<String>,
    },
    AuthorizationRejected {
        error: String,
    },
    SudoFailed {
        error: String,
    },
    /// A transaction that carried code failed.
    CodeRefused {
        error: String,
    },
    CodeStored,
    /// The relay's block at which a parachain was told to go ahead.
    CodeUpdated {
        relay_block: Option<u64>,
    },
    /// The version before, where it is known.
    Applied {
        from: Option<u32>,
    },
    Discarded,
    PvfCheck(PvfCheck),
    GoAhead,
    Referendum(ReferendumNews),
    Scheduled {
        referendum: u32,
    },
    /// The call of a referendum, or without one a whitelisted call; an error is a name or a few words.
    Dispatched {
        referendum: Option<u32>,
        result: Result<(), String>,
    },
    TransactionVersion {
        from: u32,
        to: u32,
    },
    MigrationStarted {
        migrations: Option<u32>,
    },
    /// The place of the migration that moved, counted from 0.
    MigrationStep {
        index: Option<u32>,
    },
    MigrationCompleted,
    MigrationFailed {
        index: Option<u32>,
    },
    VersionUnexpected(UnexpectedVersion),
    Reset(ResetCause),
    /// The first and the last block whose events could not be read.
    Unexamined {
        from: u64,
        to: u64,
    },
    Stalled {
        seconds: i64,
    },
    Lagging {
        blocks: u64,
    },
    Recovered,
    Unapplied {
        blocks: u64,
    },
    Overdue,
    MigrationStuck {
        blocks: u64,
    },
    /// The changes, in one line.
    ChangesPending {
        changes: String,
    },
    /// How many of how many, and their ids.
    ParachainsStopped {
        parachains: String,
    },
    ParachainsRecovered {
        parachains: String,
    },
    /// The chain runs the target, and something keeps it from being verified.
    Unverified {
        reason: String,
    },
    Blind,
    Sighted,
    /// Text that no other variant has: an older herald wrote it, or it is left open in an example.
    Text {
        kind: FactKind,
        text: String,
    },
}

/// How far validators are with their check of a parachain's new code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumIter, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum PvfCheck {
    Started,
    Accepted,
    Rejected,
}

/// A step in a referendum's course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumIter, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum ReferendumStatus {
    Submitted,
    Deciding,
    Confirming,
    #[strum(serialize = "confirm aborted")]
    ConfirmAborted,
    Confirmed,
    Approved,
    Rejected,
    #[strum(serialize = "timed out")]
    TimedOut,
    Cancelled,
    Killed,
}

/// A referendum and the step it has come to; as text `123 confirming`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReferendumNews {
    pub index: u32,
    pub status: ReferendumStatus,
}

/// A version, or a code, that the upgrade was not to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnexpectedVersion {
    /// A version below the target, which this is.
    BelowTarget(u32),
    /// A version below the one that ran before, which this is.
    Downgrade(u32),
    /// Other code under the version of the target.
    Code { runs: String, planned: String },
    /// Other code is authorized than the file of the upgrade names.
    Authorized { code: String, planned: String },
}

/// How a chain came not to be the one that was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// Another block stands where this one was.
    RolledBack { block: u64, hash: String },
    /// The chain began again; the genesis that was known.
    OtherGenesis(String),
}

impl Payload {
    pub fn kind(&self) -> FactKind {
        match self {
            Self::Authorized { .. } => FactKind::Authorized,
            Self::AuthorizationRejected { .. } => FactKind::AuthorizationRejected,
            Self::SudoFailed { .. } => FactKind::SudoFailed,
            Self::CodeRefused { .. } => FactKind::CodeRefused,
            Self::CodeStored => FactKind::CodeStored,
            Self::CodeUpdated { .. } => FactKind::CodeUpdated,
            Self::Applied { .. } => FactKind::Applied,
            Self::Discarded => FactKind::Discarded,
            Self::PvfCheck(_) => FactKind::PvfCheck,
            Self::GoAhead => FactKind::GoAhead,
            Self::Referendum(_) => FactKind::Referendum,
            Self::Scheduled { .. } => FactKind::Scheduled,
            Self::Dispatched { .. } => FactKind::Dispatched,
            Self::TransactionVersion { .. } => FactKind::TransactionVersion,
            Self::MigrationStarted { .. } => FactKind::MigrationStarted,
            Self::MigrationStep { .. } => FactKind::MigrationStep,
            Self::MigrationCompleted => FactKind::MigrationCompleted,
            Self::MigrationFailed { .. } => FactKind::MigrationFailed,
            Self::VersionUnexpected(_) => FactKind::VersionUnexpected,
            Self::Reset(_) => FactKind::Reset,
            Self::Unexamined { .. } => FactKind::Unexamined,
            Self::Stalled { .. } => FactKind::Stalled,
            Self::Lagging { .. } => FactKind::Lagging,
            Self::Recovered => FactKind::Recovered,
            Self::Unapplied { .. } => FactKind::Unapplied,
            Self::Overdue => FactKind::Overdue,
            Self::MigrationStuck { .. } => FactKind::MigrationStuck,
            Self::ChangesPending { .. } => FactKind::ChangesPending,
            Self::ParachainsStopped { .. } => FactKind::ParachainsStopped,
            Self::ParachainsRecovered { .. } => FactKind::ParachainsRecovered,
            Self::Unverified { .. } => FactKind::Unverified,
            Self::Blind => FactKind::Blind,
            Self::Sighted => FactKind::Sighted,
            Self::Text { kind, .. } => *kind,
        }
    }

    /// The happening that such a fact is when it is news. Whether it is, the campaign knows. `None` for a step on
    /// the way, of which no notice speaks.
    pub fn happening(&self) -> Option<Happening> {
        Some(match self {
            Self::Authorized { .. } => Happening::Authorized,
            Self::AuthorizationRejected { .. } => Happening::AuthorizationRejected,
            Self::SudoFailed { .. } => Happening::SudoFailed,
            Self::CodeRefused { .. } => Happening::CodeRefused,
            Self::Applied { .. } => Happening::Applied,
            Self::Discarded => Happening::Discarded,
            Self::PvfCheck(PvfCheck::Rejected) => Happening::PvfRejected,
            Self::GoAhead => Happening::GoAhead,
            Self::Referendum(_) => Happening::Referendum,
            Self::Scheduled { .. } => Happening::Scheduled,
            Self::Dispatched { result: Ok(()), .. } => Happening::Dispatched,
            Self::Dispatched { result: Err(_), .. } => Happening::DispatchFailed,
            Self::TransactionVersion { .. } => Happening::TransactionVersion,
            Self::MigrationStarted { .. } => Happening::MigrationStarted,
            Self::MigrationFailed { .. } => Happening::MigrationFailed,
            Self::VersionUnexpected(_) => Happening::VersionUnexpected,
            Self::Reset(_) => Happening::Reset,
            Self::Unexamined { .. } => Happening::Unexamined,
            Self::Stalled { .. } => Happening::Stalled,
            Self::Lagging { .. } => Happening::Lagging,
            Self::Recovered => Happening::Recovered,
            Self::Unapplied { .. } => Happening::Unapplied,
            Self::Overdue => Happening::Overdue,
            Self::MigrationStuck { .. } => Happening::MigrationStuck,
            Self::ChangesPending { .. } => Happening::ChangesPending,
            Self::ParachainsStopped { .. } => Happening::ParachainsStopped,
            Self::ParachainsRecovered { .. } => Happening::ParachainsRecovered,
            Self::Unverified { .. } => Happening::Unverified,
            Self::Blind => Happening::Blind,
            Self::Sighted => Happening::Sighted,
            Self::PvfCheck(PvfCheck::Started | PvfCheck::Accepted)
            | Self::CodeStored
            | Self::CodeUpdated { .. }
            | Self::MigrationStep { .. }
            | Self::MigrationCompleted
            | Self::Text { .. } => return None,
        })
    }

    /// The referendum that a fact of governance speaks of; a whitelisted call names none.
    pub fn referendum(&self) -> Option<u32> {
        match self {
            Self::Referendum(news) => Some(news.index),
            Self::Scheduled { referendum } => Some(*referendum),
            Self::Dispatched { referendum, .. } => *referendum,
            _ => None,
        }
    }

    /// The payload of a kind whose text is `detail`, as [`Display`](fmt::Display) writes it. Text in another form is
    /// kept as it is.
    pub fn read(kind: FactKind, detail: &str) -> Self {
        Self::typed(kind, detail)
            .filter(|payload| payload.to_string() == detail)
            .unwrap_or_else(|| Self::Text {
                kind,
                text: detail.to_owned(),
            })
    }

    fn typed(kind: FactKind, detail: &str) -> Option<Self> {
        let text = detail.to_owned();
        let bare = |payload| detail.is_empty().then_some(payload);
        Some(match kind {
            FactKind::Authorized => Self::Authorized {
                code_hash: Some(text).filter(|hash| !hash.is_empty()),
            },
            FactKind::AuthorizationRejected => Self::AuthorizationRejected { error: text },
            FactKind::SudoFailed => Self::SudoFailed { error: text },
            FactKind::CodeRefused => Self::CodeRefused { error: text },
            FactKind::CodeStored => bare(Self::CodeStored)?,
            FactKind::CodeUpdated => Self::CodeUpdated {
                relay_block: optional(detail, "relay block ")?,
            },
            FactKind::Applied => Self::Applied {
                from: optional(detail, "from ")?,
            },
            FactKind::Discarded => bare(Self::Discarded)?,
            FactKind::PvfCheck => Self::PvfCheck(parsed(detail)?),
            FactKind::GoAhead => bare(Self::GoAhead)?,
            FactKind::Referendum => Self::Referendum(parsed(detail)?),
            FactKind::Scheduled => Self::Scheduled {
                referendum: parsed(detail)?,
            },
            FactKind::Dispatched => Self::dispatched(detail)?,
            FactKind::TransactionVersion => {
                let (from, to) = range(detail)?;
                Self::TransactionVersion { from, to }
            }
            FactKind::MigrationStarted => Self::MigrationStarted {
                migrations: optional(detail, "")?,
            },
            FactKind::MigrationStep => Self::MigrationStep {
                index: optional(detail, "")?,
            },
            FactKind::MigrationCompleted => bare(Self::MigrationCompleted)?,
            FactKind::MigrationFailed => Self::MigrationFailed {
                index: optional(detail, "")?,
            },
            FactKind::VersionUnexpected => Self::VersionUnexpected(parsed(detail)?),
            FactKind::Reset => Self::Reset(parsed(detail)?),
            FactKind::Unexamined => {
                let (from, to) = range(detail)?;
                Self::Unexamined { from, to }
            }
            FactKind::Stalled => Self::Stalled {
                seconds: parsed(detail)?,
            },
            FactKind::Lagging => Self::Lagging {
                blocks: parsed(detail)?,
            },
            FactKind::Recovered => bare(Self::Recovered)?,
            FactKind::Unapplied => Self::Unapplied {
                blocks: parsed(detail)?,
            },
            FactKind::Overdue => bare(Self::Overdue)?,
            FactKind::MigrationStuck => Self::MigrationStuck {
                blocks: parsed(detail)?,
            },
            FactKind::ChangesPending => Self::ChangesPending { changes: text },
            FactKind::ParachainsStopped => Self::ParachainsStopped { parachains: text },
            FactKind::ParachainsRecovered => Self::ParachainsRecovered { parachains: text },
            FactKind::Unverified => Self::Unverified {
                reason: detail.to_owned(),
            },
            FactKind::Blind => bare(Self::Blind)?,
            FactKind::Sighted => bare(Self::Sighted)?,
        })
    }

    fn dispatched(detail: &str) -> Option<Self> {
        let (referendum, result) = match detail.strip_prefix(WHITELISTED_PREFIX) {
            Some(result) => (None, result),
            None => {
                let (referendum, result) = detail.split_once(' ')?;
                (Some(parsed(referendum)?), result)
            }
        };
        let result = match result {
            RESULT_OK => Ok(()),
            error => Err(error.to_owned()),
        };
        Some(Self::Dispatched { referendum, result })
    }
}

const WHITELISTED_PREFIX: &str = "whitelisted call ";
const RESULT_OK: &str = "ok";

/// The detail of a fact: what stands in the store, in JSON and in posts.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorized { code_hash: text } => f.write_str(text.as_deref().unwrap_or("")),
            Self::AuthorizationRejected { error: text }
            | Self::SudoFailed { error: text }
            | Self::CodeRefused { error: text }
            | Self::Text { text, .. } => f.write_str(text),
            Self::CodeUpdated { relay_block } => known(f, "relay block ", *relay_block),
            Self::Applied { from } => known(f, "from ", *from),
            Self::MigrationStarted { migrations: count } => known(f, "", *count),
            Self::MigrationStep { index } | Self::MigrationFailed { index } => known(f, "", *index),
            Self::PvfCheck(check) => check.fmt(f),
            Self::Referendum(news) => news.fmt(f),
            Self::Scheduled { referendum } => referendum.fmt(f),
            Self::Dispatched { referendum, result } => {
                match referendum {
                    Some(index) => write!(f, "{index} ")?,
                    None => f.write_str(WHITELISTED_PREFIX)?,
                }
                f.write_str(result.as_ref().map_or_else(String::as_str, |()| RESULT_OK))
            }
            Self::TransactionVersion { from, to } => write!(f, "{from} to {to}"),
            Self::Unexamined { from, to } => write!(f, "{from} to {to}"),
            Self::VersionUnexpected(version) => version.fmt(f),
            Self::Reset(cause) => cause.fmt(f),
            Self::Stalled { seconds } => seconds.fmt(f),
            Self::Lagging { blocks }
            | Self::Unapplied { blocks }
            | Self::MigrationStuck { blocks } => blocks.fmt(f),
            Self::ChangesPending { changes: text }
            | Self::ParachainsStopped { parachains: text }
            | Self::ParachainsRecovered { parachains: text }
            | Self::Unverified { reason: text } => f.write_str(text),
            Self::CodeStored
            | Self::Discarded
            | Self::GoAhead
            | Self::MigrationCompleted
            | Self::Recovered
            | Self::Overdue
            | Self::Blind
            | Self::Sighted => Ok(()),
        }
    }
}

/// Writes a number behind its words, or nothing where it isn't known.
fn known(
    f: &mut fmt::Formatter<'_>,
    words: &str,
    number: Option<impl fmt::Display>,
) -> fmt::Result {
    number.map_or(Ok(()), |number| write!(f, "{words}{number}"))
}

/// Reads what [`known`] writes; `None` for text in another form.
fn optional<T: FromStr>(detail: &str, words: &str) -> Option<Option<T>> {
    if detail.is_empty() {
        Some(None)
    } else {
        detail.strip_prefix(words)?.parse().ok().map(Some)
    }
}

fn parsed<T: FromStr>(detail: &str) -> Option<T> {
    detail.parse().ok()
}

/// Reads `100 to 2000`.
fn range<T: FromStr>(detail: &str) -> Option<(T, T)> {
    let (from, to) = detail.split_once(" to ")?;
    Some((parsed(from)?, parsed(to)?))
}

impl fmt::Display for ReferendumNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.index, self.status)
    }
}

impl FromStr for ReferendumNews {
    type Err = UnreadableDetail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let news = text.split_once(' ').and_then(|(index, status)| {
            Some(Self {
                index: parsed(index)?,
                status: parsed(status)?,
            })
        });
        news.ok_or_else(|| UnreadableDetail(text.to_owned()))
    }
}

impl TryFrom<String> for ReferendumNews {
    type Error = UnreadableDetail;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ReferendumNews> for String {
    fn from(news: ReferendumNews) -> Self {
        news.to_string()
    }
}

impl fmt::Display for UnexpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowTarget(target) => write!(f, "the target is {target}"),
            Self::Downgrade(before) => write!(f, "a downgrade from {before}"),
            Self::Code { runs, planned } => write!(f, "code {runs}, planned {planned}"),
            Self::Authorized { code, planned } => {
                write!(f, "authorized {code}, planned {planned}")
            }
        }
    }
}

impl FromStr for UnexpectedVersion {
    type Err = UnreadableDetail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let target = text.strip_prefix("the target is ").and_then(parsed);
        let before = text.strip_prefix("a downgrade from ").and_then(parsed);
        let planned = |before: &str| {
            let (code, planned) = text.strip_prefix(before)?.split_once(", planned ")?;
            Some((code.to_owned(), planned.to_owned()))
        };
        target
            .map(Self::BelowTarget)
            .or(before.map(Self::Downgrade))
            .or_else(|| planned("code ").map(|(runs, planned)| Self::Code { runs, planned }))
            .or_else(|| {
                let authorized = planned("authorized ");
                authorized.map(|(code, planned)| Self::Authorized { code, planned })
            })
            .ok_or_else(|| UnreadableDetail(text.to_owned()))
    }
}

impl fmt::Display for ResetCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledBack { block, hash } => {
                write!(f, "it was rolled back: block {block} was {hash}")
            }
            Self::OtherGenesis(genesis) => {
                write!(f, "it began again: the genesis was {genesis}")
            }
        }
    }
}

impl FromStr for ResetCause {
    type Err = UnreadableDetail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let genesis = text.strip_prefix("it began again: the genesis was ");
        let rolled_back = || {
            let (block, hash) = text
                .strip_prefix("it was rolled back: block ")?
                .split_once(" was ")?;
            Some(Self::RolledBack {
                block: parsed(block)?,
                hash: hash.to_owned(),
            })
        };
        genesis
            .map(|genesis| Self::OtherGenesis(genesis.to_owned()))
            .or_else(rolled_back)
            .ok_or_else(|| UnreadableDetail(text.to_owned()))
    }
}

/// Text that no fact of its kind has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fact says `{0}`")]
pub struct UnreadableDetail(String);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::IntoEnumIterator;

    use super::*;

    /// Every payload beside its text, some in several forms.
    fn examples() -> Vec<(Payload, String)> {
        use Payload as P;
        let hash = || "0xab".to_owned();
        let error = || "System.SpecVersionNeedsToIncrease".to_owned();
        let dispatched = |referendum, result: Result<(), &str>| P::Dispatched {
            referendum,
            result: result.map_err(str::to_owned),
        };
        let mut examples: Vec<(Payload, String)> = [
            (
                P::Authorized {
                    code_hash: Some(hash()),
                },
                "0xab",
            ),
            (P::Authorized { code_hash: None }, ""),
            (
                P::AuthorizationRejected { error: error() },
                "System.SpecVersionNeedsToIncrease",
            ),
            (
                P::SudoFailed { error: error() },
                "System.SpecVersionNeedsToIncrease",
            ),
            (
                P::CodeRefused { error: error() },
                "System.SpecVersionNeedsToIncrease",
            ),
            (
                P::ChangesPending {
                    changes: "session 7: node feature 7 on".into(),
                },
                "session 7: node feature 7 on",
            ),
            (
                P::ParachainsStopped {
                    parachains: "1 of 58: 2004".into(),
                },
                "1 of 58: 2004",
            ),
            (
                P::ParachainsRecovered {
                    parachains: "1 of 58: 2004".into(),
                },
                "1 of 58: 2004",
            ),
            (P::CodeStored, ""),
            (
                P::CodeUpdated {
                    relay_block: Some(456),
                },
                "relay block 456",
            ),
            (P::CodeUpdated { relay_block: None }, ""),
            (
                P::Applied {
                    from: Some(1_002_006),
                },
                "from 1002006",
            ),
            (P::Applied { from: None }, ""),
            (P::Discarded, ""),
            (P::GoAhead, ""),
            (P::Scheduled { referendum: 123 }, "123"),
            (dispatched(Some(123), Ok(())), "123 ok"),
            (
                dispatched(Some(123), Err("System.FailedToExtract")),
                "123 System.FailedToExtract",
            ),
            (
                dispatched(Some(123), Err("call unavailable")),
                "123 call unavailable",
            ),
            (dispatched(None, Ok(())), "whitelisted call ok"),
            (
                dispatched(None, Err("BadOrigin")),
                "whitelisted call BadOrigin",
            ),
            (P::TransactionVersion { from: 25, to: 26 }, "25 to 26"),
            (
                P::MigrationStarted {
                    migrations: Some(5),
                },
                "5",
            ),
            (P::MigrationStarted { migrations: None }, ""),
            (P::MigrationStep { index: Some(0) }, "0"),
            (P::MigrationCompleted, ""),
            (P::MigrationFailed { index: Some(3) }, "3"),
            (P::MigrationFailed { index: None }, ""),
            (
                P::VersionUnexpected(UnexpectedVersion::BelowTarget(3)),
                "the target is 3",
            ),
            (
                P::VersionUnexpected(UnexpectedVersion::Authorized {
                    code: hash(),
                    planned: "0xcd".into(),
                }),
                "authorized 0xab, planned 0xcd",
            ),
            (
                P::VersionUnexpected(UnexpectedVersion::Downgrade(4)),
                "a downgrade from 4",
            ),
            (
                P::VersionUnexpected(UnexpectedVersion::Code {
                    runs: hash(),
                    planned: "0xcd".into(),
                }),
                "code 0xab, planned 0xcd",
            ),
            (
                P::Reset(ResetCause::RolledBack {
                    block: 7,
                    hash: hash(),
                }),
                "it was rolled back: block 7 was 0xab",
            ),
            (
                P::Reset(ResetCause::OtherGenesis(hash())),
                "it began again: the genesis was 0xab",
            ),
            (
                P::Unexamined {
                    from: 100,
                    to: 2000,
                },
                "100 to 2000",
            ),
            (P::Stalled { seconds: 240 }, "240"),
            (P::Lagging { blocks: 120 }, "120"),
            (P::Recovered, ""),
            (P::Unapplied { blocks: 601 }, "601"),
            (P::Overdue, ""),
            (P::MigrationStuck { blocks: 101 }, "101"),
            (
                P::Unverified {
                    reason: "no block for 60 s".into(),
                },
                "no block for 60 s",
            ),
            (P::Blind, ""),
            (P::Sighted, ""),
        ]
        .map(|(payload, text)| (payload, text.to_owned()))
        .into();
        examples.extend(PvfCheck::iter().map(|check| (P::PvfCheck(check), check.to_string())));
        examples.extend(ReferendumStatus::iter().map(|status| {
            let news = ReferendumNews { index: 123, status };
            (P::Referendum(news), format!("123 {status}"))
        }));
        examples
    }

    #[test]
    fn every_payload_is_read_back_from_its_text() {
        let mut kinds = BTreeSet::new();
        for (payload, text) in examples() {
            assert_eq!(payload.to_string(), text, "{payload:?}");
            assert_eq!(Payload::read(payload.kind(), &text), payload);
            kinds.insert(payload.kind());
        }
        assert_eq!(kinds, FactKind::iter().collect(), "an example of each kind");
    }

    #[test]
    fn text_in_another_form_is_kept_as_it_is() {
        for kind in FactKind::iter() {
            for text in ["", "genesis was 0x00", "12 of 13", "7 ok", "007", "a to b"] {
                let payload = Payload::read(kind, text);
                assert_eq!(
                    (payload.kind(), payload.to_string()),
                    (kind, text.to_owned())
                );
            }
        }
    }

    #[test]
    fn what_a_fact_tells_of_stands_on_a_fact_of_its_kind() {
        for (payload, _) in examples() {
            if let Some(happening) = payload.happening() {
                assert_eq!(happening.fact_kind(), Some(payload.kind()), "{happening:?}");
            }
        }
    }

    #[test]
    fn each_payload_is_told_as_its_happening_or_not_at_all() {
        let silent: Vec<String> = examples()
            .into_iter()
            .filter(|(payload, _)| payload.happening().is_none())
            .map(|(payload, text)| format!("{} {text}", payload.kind().name()))
            .collect();
        let expected = [
            "code_stored ",
            "code_updated relay block 456",
            "code_updated ",
            "migration_step 0",
            "migration_completed ",
            "pvf_check started",
            "pvf_check accepted",
        ];
        assert_eq!(silent, expected);
        let text = Payload::Text {
            kind: FactKind::Applied,
            text: String::new(),
        };
        assert_eq!(text.happening(), None);
        // Where a kind has a happening of its name, its facts are told as that one.
        let named = |name: &str| Happening::parse(name);
        for (payload, _) in examples() {
            let Some(happening) = payload.happening() else {
                continue;
            };
            let own = match &payload {
                Payload::PvfCheck(_) => Some(Happening::PvfRejected),
                Payload::Dispatched { result: Err(_), .. } => Some(Happening::DispatchFailed),
                payload => named(payload.kind().name()),
            };
            assert_eq!(own, Some(happening));
        }
    }

    #[test]
    fn only_facts_of_governance_name_a_referendum() {
        for (payload, text) in examples() {
            let is_named = payload.kind().is_of_governance() && !text.starts_with("whitelisted");
            assert_eq!(payload.referendum(), is_named.then_some(123), "{text}");
        }
    }

    #[test]
    fn a_referendums_news_is_one_text_in_the_store() {
        let news = ReferendumNews {
            index: 7,
            status: ReferendumStatus::ConfirmAborted,
        };
        let stored = serde_json::to_value(news).unwrap();
        assert_eq!(stored, "7 confirm aborted");
        assert_eq!(
            serde_json::from_value::<ReferendumNews>(stored).unwrap(),
            news
        );
        for text in ["7", "seven confirmed", "7 unheard"] {
            let error = text.parse::<ReferendumNews>().unwrap_err();
            assert_eq!(error.to_string(), format!("no fact says `{text}`"));
        }
    }
}
