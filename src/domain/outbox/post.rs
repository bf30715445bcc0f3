//! A post: one notice for one channel, a row of the outbox.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::chain::fact::Fact;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// A message of its own.
    Post,
    /// A feedback thread below the post of the same notice, with an opening message.
    Thread,
    /// The picture that belongs to a post, where the platform takes it as a message of its own.
    Picture,
    /// New words for a post that is out.
    Edit,
    /// A line on top of a post that is out and no longer holds.
    Mark,
    /// What a notice will say, shown to those who may approve it.
    Preview,
    /// A post is handed on to the servers that follow its channel.
    Publish,
    /// A post is pinned in its channel.
    Pin,
    /// It is pinned no more.
    Unpin,
    /// The window in the calendar of a Discord server; each edition is what it says from then on.
    Event,
    /// A vote on what a post proposes, where the platform has votes of its own.
    Poll,
    /// The vote is closed.
    Close,
}

impl Operation {
    pub const ALL: [Self; 12] = [
        Self::Post,
        Self::Thread,
        Self::Picture,
        Self::Edit,
        Self::Mark,
        Self::Preview,
        Self::Publish,
        Self::Pin,
        Self::Unpin,
        Self::Event,
        Self::Poll,
        Self::Close,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Thread => "thread",
            Self::Picture => "picture",
            Self::Edit => "edit",
            Self::Mark => "mark",
            Self::Preview => "preview",
            Self::Publish => "publish",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Event => "event",
            Self::Poll => "poll",
            Self::Close => "close",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }

    /// It comes with a post, and waits with it.
    pub fn hangs(self) -> bool {
        matches!(
            self,
            Self::Thread | Self::Picture | Self::Publish | Self::Pin | Self::Poll
        )
    }

    /// Its place among what is due at the same time for the same notice, from 0 to 9.
    fn step(self) -> i64 {
        match self {
            Self::Post => 0,
            Self::Thread => 1,
            Self::Picture => 2,
            Self::Poll => 3,
            Self::Edit => 4,
            Self::Mark => 5,
            Self::Preview => 6,
            Self::Publish => 7,
            Self::Pin => 8,
            Self::Unpin | Self::Event | Self::Close => 9,
        }
    }

    /// It says nothing in the channel, and done twice it is done once: so it waits aside, and holds up no post.
    pub fn is_aside(self) -> bool {
        matches!(
            self,
            Self::Publish | Self::Pin | Self::Unpin | Self::Event | Self::Close
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostState {
    /// Not due yet, or due and not begun.
    Planned,
    /// An attempt has begun: the body is frozen.
    Sending,
    Sent,
    /// Given up until somebody looks: the error says why.
    Parked,
    /// It was due before its upgrade was accepted, so it is not posted late.
    Skipped,
    /// A later revision of the schedule took its place.
    Superseded,
    /// It waits for people: for an approval, or for the upgrade to go on. The error says for what.
    Held,
    /// It was held until it was of no use any more.
    Expired,
}

impl PostState {
    pub const ALL: [PostState; 8] = [
        Self::Planned,
        Self::Sending,
        Self::Sent,
        Self::Parked,
        Self::Skipped,
        Self::Superseded,
        Self::Held,
        Self::Expired,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Parked => "parked",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
            Self::Held => "held",
            Self::Expired => "expired",
        }
    }
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// 24 hex digits, short enough for a Discord nonce (25). One key belongs to one content for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PostKey(pub String);

impl PostKey {
    /// What makes a post this post and no other.
    pub fn of(
        upgrade: &str,
        revision: u32,
        notice: &str,
        occurrence: &str,
        channel: &str,
        operation: Operation,
    ) -> Self {
        Self::of_edition(upgrade, revision, notice, occurrence, channel, operation, 0)
    }

    /// The same for the content of an edit.
    pub fn of_edition(
        upgrade: &str,
        revision: u32,
        notice: &str,
        occurrence: &str,
        channel: &str,
        operation: Operation,
        edition: u32,
    ) -> Self {
        Self(digest(&[
            upgrade,
            &revision.to_string(),
            notice,
            occurrence,
            channel,
            operation.name(),
            &edition.to_string(),
        ]))
    }
}

/// At most `max` characters, the last of them an ellipsis if there were more.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars()
        .take(max.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// 24 hex digits that stand for these texts, in this order.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut digits = ::hex::encode(hash.finalize());
    digits.truncate(24);
    digits
}

impl std::fmt::Display for PostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a platform is given: rendered once, then frozen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Discord's Markdown, or Matrix's plain body.
    pub text: String,
    /// Matrix's `formatted_body`.
    pub html: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// Whom a new message notifies, as the platform names them: a role's id on Discord, a user's with an @ before it; `@room` or a user's id on Matrix.
    /// The text names them already. An edit keeps them and notifies nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// What people can press, where a platform has that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
    /// The small print below a post, where a platform has a place for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// What stands in the calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<CalendarEvent>,
    /// What is voted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ballot: Option<Ballot>,
}

/// A question with what can be chosen, as many of it as one likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    pub question: String,
    /// Each with the reaction that means the same.
    pub choices: Vec<(String, String)>,
}

/// Where an upgrade stands, in a few lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub text: String,
    /// Red, green and blue.
    pub colour: u32,
}

/// An upgrade's window in a calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarEvent {
    pub name: String,
    pub about: String,
    /// Where people find more.
    pub place: String,
    pub opens: Timestamp,
    pub closes: Timestamp,
    pub stage: CalendarEventStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalendarEventStage {
    /// It is to come.
    Scheduled,
    Active,
    Completed,
    Cancelled,
}

/// A command that is given by a press.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub label: String,
    /// As people would write it: `ack upgrade=v2.3.1`.
    pub line: String,
}

/// A picture, with the words for who can't see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// `block-times.png`
    pub name: String,
    pub alt: String,
    pub width: u32,
    pub height: u32,
    #[serde(with = "in_hex")]
    pub png: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture")
            .field("name", &self.name)
            .field("alt", &self.alt)
            .field("bytes", &self.png.len())
            .finish()
    }
}

mod in_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::hex;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not hex"))
    }
}

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    pub key: PostKey,
    pub upgrade: String,
    pub revision: u32,
    pub notice: String,
    /// `1`, or the instant of a repeated one.
    pub occurrence: String,
    pub channel: String,
    pub operation: Operation,
    pub due: Timestamp,
    /// Order among posts due at the same time in a channel.
    pub rank: i64,
    pub state: PostState,
    pub late: bool,
    pub body: Option<Body>,
    /// The fact it speaks of.
    pub fact: Option<Fact>,
    /// What it speaks of where no fact stands behind it: a reason, an id.
    pub detail: Option<String>,
    pub attempts: u32,
    pub next_attempt: Option<Timestamp>,
    /// The platform's id of the message (for a thread: of what replies hang on).
    pub remote: Option<String>,
    pub link: Option<String>,
    pub sent: Option<Timestamp>,
    pub error: Option<String>,
    /// Of an edit: which one it is of its post, from 1 on.
    pub edition: u32,
}

impl Post {
    /// The account that a private post is for: its channel is a platform's private one, which alone has a space in its name.
    pub fn reader(&self) -> Option<&str> {
        self.occurrence
            .split_once(' ')
            .map(|(_, user)| user)
            .filter(|_| self.channel.starts_with(PRIVATE_CHANNEL_PREFIX))
    }

    /// Another operation on the same notice in the same channel, not begun yet.
    pub fn beside(&self, operation: Operation, edition: u32) -> Self {
        let key = PostKey::of_edition(
            &self.upgrade,
            self.revision,
            &self.notice,
            &self.occurrence,
            &self.channel,
            operation,
            edition,
        );
        Self {
            key,
            operation,
            edition,
            rank: self.rank - self.rank.rem_euclid(10) + operation.step(),
            state: PostState::Planned,
            late: false,
            body: None,
            attempts: 0,
            next_attempt: None,
            remote: None,
            link: None,
            sent: None,
            error: None,
            ..self.clone()
        }
    }
}

/// What stands before a correction in a mark's detail.
pub const CORRECTION_PREFIX: &str = "correction: ";

/// What the name of each platform's private channel begins with; no channel of a file has a space in its name.
const PRIVATE_CHANNEL_PREFIX: &str = "private ";

/// Which one it is of the things that people say of an upgrade: a change of the window makes it another.
pub fn occurrence_of(revision: u32, detail: Option<&str>) -> String {
    digest(&[&revision.to_string(), detail.unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("éééééé", 5), "éééé…");
    }

    #[test]
    fn keys_differ_in_each_part_and_fit_a_nonce() {
        let key = |u, r, n, o, c, op| PostKey::of(u, r, n, o, c, op);
        let one = key("u", 1, "n", "1", "c", Operation::Post);
        assert_eq!(one.0.len(), 24);
        assert_eq!(one, key("u", 1, "n", "1", "c", Operation::Post));
        let others = [
            key("v", 1, "n", "1", "c", Operation::Post),
            key("u", 2, "n", "1", "c", Operation::Post),
            key("u", 1, "m", "1", "c", Operation::Post),
            key("u", 1, "n", "2", "c", Operation::Post),
            key("u", 1, "n", "1", "d", Operation::Post),
            key("u", 1, "n", "1", "c", Operation::Thread),
            key("u1", 1, "n", "1", "c", Operation::Post),
            key("un", 1, "", "1", "c", Operation::Post),
            PostKey::of_edition("u", 1, "n", "1", "c", Operation::Edit, 1),
            PostKey::of_edition("u", 1, "n", "1", "c", Operation::Edit, 2),
        ];
        for other in others {
            assert_ne!(one, other);
        }
    }
}
