//! The sentences that herald says to somebody who gives a command.
//!
//! Code decides which sentence it is and what stands in it; its words stand in `templates/words/<locale>.yaml` under
//! `replies`, by the name of the variant in snake_case. So an answer is in the language of the channel in which it was
//! asked, and what came of a request can be told in another process, too.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::permission::Role;

/// Names that may have been meant by one that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    pub near: Option<String>,
    /// All the names there are.
    pub known: Vec<String>,
}

/// A text that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCode {
    pub code: String,
    pub notice: String,
}

/// The providers that are ready, counted, and those that are not, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterReady {
    pub count: u32,
    pub by: Timestamp,
    pub missing: Vec<String>,
}

/// A window as a command would have it, and what the plan has against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedWindow {
    pub opens: Timestamp,
    pub weekend: bool,
    /// People in whose night it opens.
    pub asleep: Vec<String>,
    /// Sooner than people are promised.
    pub soon: bool,
    /// The audiences whose deadline is after it.
    pub behind: Vec<String>,
}

/// One sentence, or a few that belong together.
#[derive(
    Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
#[serde(tag = "reply", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reply {
    /// Words as they are, such as those that an earlier version wrote down.
    Words {
        words: String,
    },
    /// Two replies that follow each other, in words already.
    Both {
        first: String,
        second: String,
    },
    /// A request was followed; `what` is in words already.
    Done {
        what: String,
    },
    /// A request was refused; `why` is in words already.
    Cannot {
        why: String,
    },
    /// A request is written down, and nobody has followed it yet.
    Waits {
        number: i64,
    },
    NotNow,

    // Commands that are not understood.
    MissingPart {
        command: String,
        part: String,
        about: String,
    },
    MissingCode,
    TooMuch {
        command: String,
        word: String,
    },
    TooLong {
        part: String,
        length: usize,
        most: usize,
    },
    Unclosed,
    NotATime {
        part: String,
        text: String,
        zone: String,
    },
    NotALength {
        part: String,
        text: String,
    },
    NotAReminder,
    NoChecklistPart {
        text: String,
    },
    UnknownUpgrade {
        upgrade: String,
        #[serde(flatten)]
        hint: Hint,
    },
    UnknownTopic {
        topic: String,
        #[serde(flatten)]
        hint: Hint,
    },
    UnknownNotice {
        notice: String,
        #[serde(flatten)]
        hint: Hint,
    },
    NotShownYet {
        error: String,
    },

    // Commands that are denied.
    ApprovalElsewhere,
    CommandElsewhere {
        command: String,
    },
    UnknownAccount,
    NotTheirCommand {
        command: String,
        roles: Vec<Role>,
    },
    NotTheirItem {
        item: String,
        roles: Vec<Role>,
    },

    // The window, and what else of an upgrade a command changes.
    BeyondCalendar,
    OverAlready {
        at: Timestamp,
    },
    IsOver,
    UpgradeGone {
        upgrade: String,
    },
    Changed {
        command: String,
        title: String,
        author: String,
    },
    WindowSwapped,
    GivenUp {
        title: String,
    },
    AppliedAlready {
        title: String,
        command: String,
    },
    SoAlready,
    /// The window was moved; the times are as they were read.
    Rescheduled {
        title: String,
        author: String,
        opens: Timestamp,
        closes: Timestamp,
    },
    /// A command that everybody is told of at once, until somebody says that they mean it.
    Unconfirmed {
        /// The window as it would be, where the command moves it.
        moved: Option<MovedWindow>,
        /// The public channels in which it is posted.
        channels: Vec<String>,
        /// Those of them in which people are notified.
        notified: Vec<String>,
    },
    NotConfirmed {
        text: String,
    },
    /// A request that waited was taken back.
    Discarded {
        person: String,
    },

    // The team's other commands.
    NoteStands,
    FeedbackClosedNow,
    FeedbackClosedAlready,
    FeedbackNotOpen,
    SaidIn {
        channels: Vec<String>,
    },
    UnknownChannel {
        channel: String,
        #[serde(flatten)]
        hint: Hint,
    },
    /// `live`: the post is kept up to date, and so written anew.
    Corrected {
        notice: String,
        channels: Vec<String>,
        live: bool,
    },
    NothingToCorrect {
        notice: String,
        said: String,
    },
    DueNow {
        notice: String,
    },
    NothingPlanned {
        notice: String,
    },
    Ticked {
        item: String,
        text: String,
        done: usize,
        of: usize,
    },
    TickedAlready {
        item: String,
        by: String,
    },
    Unticked {
        item: String,
    },
    NotTicked {
        item: String,
    },
    UnknownItem {
        item: String,
    },
    NoRoster,
    NothingAskedYet {
        of: usize,
    },
    Roster {
        notice: String,
        count: u32,
        of: usize,
        by: Timestamp,
        missing: Vec<String>,
        ready: Option<RosterReady>,
    },

    // Feedback.
    FeedbackOver,
    FeedbackTooEarly,
    FeedbackTaken,
    FeedbackTakenBack,
    NoFeedbackGiven,

    // Reminders.
    ReminderOff,
    NoReminder,
    WindowNotSet,
    ReminderTooSoon {
        opens: Timestamp,
    },
    ReminderSet {
        at: Timestamp,
    },

    // Providers' answers. `thanks` names whom to thank, unless their answer was known already.
    UnknownProvider,
    NothingAsks,
    UnknownNode {
        provider: String,
        node: String,
        nodes: Vec<String>,
    },
    Acknowledged {
        thanks: Option<String>,
        provider: String,
        notice: String,
        late: bool,
        count: u32,
        of: u32,
    },
    ProviderReady {
        thanks: Option<String>,
        provider: String,
        count: u32,
        of: usize,
    },
    NodesReady {
        thanks: Option<String>,
        provider: String,
        count: usize,
        of: usize,
    },

    // Approvals.
    UnknownPerson {
        person: String,
    },
    MayNotApprove {
        person: String,
    },
    ApprovalNotWritten,
    NothingToApprove {
        code: String,
    },
    UnknownCode {
        code: String,
        open: Vec<OpenCode>,
    },
    ApprovedAlready {
        notice: String,
        persons: Vec<String>,
    },
    ApprovalTooLate {
        notice: String,
    },
    ApprovedByYou {
        notice: String,
        count: usize,
        of: u32,
    },
    ApprovedInPart {
        person: String,
        notice: String,
        count: usize,
        of: u32,
    },
    /// `at`: when it goes out, unless that is now.
    Approved {
        person: String,
        notice: String,
        count: usize,
        of: u32,
        at: Option<Timestamp>,
    },
}

impl Reply {
    /// The name under which its words stand.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

/// The end of a request, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done(Reply),
    Refused(Reply),
}

impl Outcome {
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Done(reply) | Self::Refused(reply) => reply,
        }
    }

    /// From what a store holds. Earlier versions wrote English words, those of a refusal behind `refused: `.
    pub fn from_stored(text: &str) -> Self {
        let words = |words: &str| Reply::Words {
            words: words.to_owned(),
        };
        serde_json::from_str(text).unwrap_or_else(|_| match text.strip_prefix("refused: ") {
            Some(why) => Self::Refused(words(why)),
            None => Self::Done(words(text)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_stored_by_its_parts_and_the_old_form_is_read() {
        let outcome = Outcome::Refused(Reply::UnknownChannel {
            channel: "nowhere".to_owned(),
            hint: Hint {
                near: None,
                known: vec!["news".to_owned()],
            },
        });
        let stored = serde_json::to_string(&outcome).unwrap();
        assert_eq!(
            stored,
            r#"{"refused":{"reply":"unknown_channel","channel":"nowhere","near":null,"known":["news"]}}"#
        );
        assert_eq!(Outcome::from_stored(&stored), outcome);
        let words = |words: &str| Reply::Words {
            words: words.to_owned(),
        };
        assert_eq!(
            Outcome::from_stored("refused: that is so already"),
            Outcome::Refused(words("that is so already"))
        );
        assert_eq!(
            Outcome::from_stored("done: go of Two, asked for by Ada"),
            Outcome::Done(words("done: go of Two, asked for by Ada"))
        );
    }

    #[test]
    fn an_outcome_has_its_reply_and_a_reply_its_name() {
        for outcome in [
            Outcome::Done(Reply::SoAlready),
            Outcome::Refused(Reply::SoAlready),
        ] {
            assert_eq!(outcome.reply().name(), "so_already");
        }
    }
}
