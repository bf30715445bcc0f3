//! A post: one notice for one channel, a row of the outbox.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Body, KeyParts, Operation, PostKey};
use crate::domain::chain::fact::Fact;

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum PostState {
    /// Not due yet, or due and not begun.
    Planned,
    /// An attempt has begun: the body is frozen.
    Sending,
    Sent,
    /// Given up until somebody looks: the error says why.
    Parked,
    /// The post was due before its upgrade was accepted, so it is not posted late.
    Skipped,
    /// A later revision of the schedule took its place.
    Superseded,
    /// The post waits for people: for an approval, or for the upgrade to go on. The error says which.
    Held,
    /// The post was held until it was of no use any more.
    Expired,
}

impl PostState {
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
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
    /// A reason or an id, where no fact stands behind the post.
    pub detail: Option<String>,
    pub attempts: u32,
    pub next_attempt: Option<Timestamp>,
    /// The platform's id of the message (for a thread: of what replies hang on).
    pub remote: Option<String>,
    pub link: Option<String>,
    pub sent: Option<Timestamp>,
    pub error: Option<String>,
    /// The number of an edit among those of its post, from 1 on; 0 for all else.
    pub edition: u32,
}

/// The first part of a mark's detail, where people have corrected a notice.
const CORRECTION_PREFIX: &str = "correction: ";

/// The first part of the name of each platform's private channel; no channel of a file has a space in its name.
const PRIVATE_CHANNEL_PREFIX: &str = "private ";

/// Posts of one notice are ranked so far from those of the next.
const RANKS_PER_NOTICE: i64 = 10;

impl Post {
    /// A message that is not begun yet, of the notice that stands at `index` in its plan.
    pub fn planned(parts: KeyParts<'_>, index: usize, due: Timestamp) -> Self {
        let rank = i64::try_from(index).unwrap_or(0) * RANKS_PER_NOTICE;
        Self {
            key: PostKey::of(parts),
            upgrade: parts.upgrade.to_owned(),
            revision: parts.revision,
            notice: parts.notice.to_owned(),
            occurrence: parts.occurrence.to_owned(),
            channel: parts.channel.to_owned(),
            operation: parts.operation,
            due,
            rank: rank + parts.operation.rules().order,
            state: PostState::Planned,
            late: false,
            body: None,
            fact: None,
            detail: None,
            attempts: 0,
            next_attempt: None,
            remote: None,
            link: None,
            sent: None,
            error: None,
            edition: parts.edition,
        }
    }

    /// Another operation on the same notice in the same channel, not begun yet.
    pub fn beside(&self, operation: Operation, edition: u32) -> Self {
        let parts = self.parts(operation, edition);
        let index = self.rank.div_euclid(RANKS_PER_NOTICE);
        Self {
            fact: self.fact.clone(),
            detail: self.detail.clone(),
            ..Self::planned(parts, usize::try_from(index).unwrap_or(0), self.due)
        }
    }

    /// The key of another operation on the same notice in the same channel.
    pub fn key_beside(&self, operation: Operation, edition: u32) -> PostKey {
        PostKey::of(self.parts(operation, edition))
    }

    fn parts(&self, operation: Operation, edition: u32) -> KeyParts<'_> {
        KeyParts {
            upgrade: &self.upgrade,
            revision: self.revision,
            notice: &self.notice,
            occurrence: &self.occurrence,
            channel: &self.channel,
            operation,
            edition,
        }
    }

    /// The row with the message of this post as it stands: an edit that made it anew, since somebody had deleted it, or
    /// the post's own.
    pub fn standing<'a>(&'a self, posts: &'a [Self]) -> &'a Self {
        let edits = posts.iter().filter(|p| {
            p.operation == Operation::Edit
                && p.state == PostState::Sent
                && p.remote.is_some()
                && p.is_beside(self)
        });
        edits.max_by_key(|p| p.edition).unwrap_or(self)
    }

    /// Returns whether it is a notice's message itself, and not a thing done to one.
    pub fn is_message(&self) -> bool {
        self.operation == Operation::Post
    }

    /// Returns whether the post was planned with its notice's message, and waits with it. Later editions follow a message
    /// that is out.
    pub fn waits_with_its_message(&self) -> bool {
        self.operation.rules().is_companion && self.edition == 0
    }

    /// Returns whether both are of the same notice on the same occasion in the same channel.
    pub fn is_beside(&self, other: &Post) -> bool {
        (&self.notice, &self.occurrence, &self.channel, self.revision)
            == (
                &other.notice,
                &other.occurrence,
                &other.channel,
                other.revision,
            )
    }

    /// The account that a private post is for: its channel is a platform's private one, which alone has a space in its name.
    pub fn reader(&self) -> Option<&str> {
        self.occurrence
            .split_once(' ')
            .map(|(_, user)| user)
            .filter(|_| self.channel.starts_with(PRIVATE_CHANNEL_PREFIX))
    }

    /// The detail of a mark that corrects a notice in these words.
    pub fn correction_detail(words: &str) -> String {
        format!("{CORRECTION_PREFIX}{words}")
    }

    /// The words of a correction, if this is one.
    pub fn correction(&self) -> Option<&str> {
        let detail = self.detail.as_deref()?;
        detail
            .strip_prefix(CORRECTION_PREFIX)
            .filter(|_| self.operation == Operation::Mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(operation: Operation, edition: u32) -> Post {
        let parts = KeyParts {
            upgrade: "v2",
            revision: 1,
            notice: "reminder",
            occurrence: "1",
            channel: "news",
            operation,
            edition,
        };
        Post::planned(parts, 3, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_is_done_to_a_post_stands_beside_it() {
        let mut message = post(Operation::Post, 0);
        message.detail = Some("words".into());
        message.fact = serde_json::from_str(
            r#"{"kind":"applied","chain":"paseo","block":4,"hash":"0x04","spec_version":2,"time":null}"#,
        )
        .unwrap();
        let edit = message.beside(Operation::Edit, 2);
        let expected = Post {
            detail: message.detail.clone(),
            fact: message.fact.clone(),
            ..post(Operation::Edit, 2)
        };
        assert_eq!(edit, expected);
        assert_eq!(edit.key, message.key_beside(Operation::Edit, 2));
        assert_eq!((message.rank, edit.rank), (30, 34));
        assert!(message.is_message() && !edit.is_message());
        let apart: [fn(&mut Post); 4] = [
            |p| p.notice = "applied".into(),
            |p| p.occurrence = "2".into(),
            |p| p.channel = "team".into(),
            |p| p.revision = 2,
        ];
        assert!(edit.is_beside(&message));
        let companions = [
            (Operation::Event, 0),
            (Operation::Event, 1),
            (Operation::Edit, 0),
        ]
        .map(|(o, e)| post(o, e).waits_with_its_message());
        assert_eq!(companions, [true, false, false]);
        for change in apart {
            let mut other = edit.clone();
            change(&mut other);
            assert!(!other.is_beside(&message), "{other:?}");
        }
    }

    #[test]
    fn the_newest_edit_that_made_a_message_anew_stands_for_the_post() {
        let message = post(Operation::Post, 0);
        let anew = |operation, edition, change: fn(&mut Post)| {
            let mut post = post(operation, edition);
            (post.state, post.remote) = (PostState::Sent, Some(edition.to_string()));
            change(&mut post);
            post
        };
        let posts = [
            message.clone(),
            anew(Operation::Edit, 1, |_| {}),
            anew(Operation::Edit, 2, |_| {}),
            anew(Operation::Edit, 3, |p| p.state = PostState::Planned),
            anew(Operation::Edit, 4, |p| p.remote = None),
            anew(Operation::Edit, 5, |p| p.channel = "team".into()),
            anew(Operation::Mark, 6, |_| {}),
        ];
        assert_eq!(message.standing(&posts).edition, 2);
        assert_eq!(message.standing(&[]), &message);
    }

    #[test]
    fn a_private_post_names_its_reader_and_a_correction_its_words() {
        let reader = |channel: &str, occurrence: &str| {
            let post = Post {
                channel: channel.into(),
                occurrence: occurrence.into(),
                ..post(Operation::Post, 0)
            };
            post.reader().map(str::to_owned)
        };
        let user = Some("@ines:example.org".to_owned());
        assert_eq!(reader("private matrix", "3600 @ines:example.org"), user);
        assert_eq!(reader("private matrix", "3600"), None);
        assert_eq!(reader("news", "3600 @ines:example.org"), None);

        let correction = |operation, detail: &str| {
            let mut post = post(operation, 0);
            post.detail = Some(detail.to_owned());
            post.correction().map(str::to_owned)
        };
        let detail = Post::correction_detail("at noon");
        assert_eq!(
            correction(Operation::Mark, &detail).as_deref(),
            Some("at noon")
        );
        assert_eq!(correction(Operation::Edit, &detail), None);
        assert_eq!(correction(Operation::Mark, "window"), None);
    }

    #[test]
    fn states_are_read_back_from_their_names() {
        for state in PostState::ALL {
            assert_eq!(PostState::parse(state.name()), Some(*state));
        }
        assert_eq!(PostState::parse("Sent"), None);
    }
}
