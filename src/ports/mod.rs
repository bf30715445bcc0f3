//! What the services need of the outside, as traits. Adapters implement them; services know no more.

pub mod lease;
pub(crate) mod records;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::domain::{
    campaign::{
        change::Change,
        progress::{Progress, State},
        upgrade::Upgrade,
    },
    chain::{
        block::{Block, Memory},
        fact::{Fact, FactKind},
        observation::Sight,
    },
    outbox::post::{Body, Event, Operation, Post, PostKey},
    people::{
        command::{Misread, Order, Verb},
        feedback::{Heard, Reaction},
    },
};

pub use self::records::{Entry, EntryKind, Known, Leadership, Replica};

/// The two chat platforms; a rehearsal's rooms imitate one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Discord,
    Matrix,
}

impl Platform {
    pub fn name(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Matrix => "matrix",
        }
    }
}

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

// --- chats ---------------------------------------------------------------------------------

/// A message the platform has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub id: String,
    pub link: Option<String>,
}

/// Why a platform did not take something.
#[derive(Debug, Error)]
pub enum ChatError {
    /// Try again, not before the given number of milliseconds if there is one. It may or may not
    /// have been accepted: read back before the next try.
    #[error("{reason}")]
    Retry { reason: String, after_ms: Option<u64> },
    /// No retry will help: a missing room, a missing permission, a refused content.
    #[error("{reason}; {remedy}")]
    Refused { reason: String, remedy: String },
    /// Of a read-back: what could be read doesn't hold it, but not all could.
    #[error("{reason}; {remedy}")]
    Doubt { reason: String, remedy: String },
}

/// One message to send, with the key that makes it one message however often it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub key: &'a PostKey,
    pub body: &'a Body,
    /// The message of ours in the same place that it answers. If that is gone, it is said all the same.
    pub answers: Option<&'a str>,
    /// Of an edit: the key of the message that it changes.
    pub of: Option<&'a PostKey>,
}

/// What is done to a message of ours that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// It is handed on to the servers that follow its channel.
    Publish,
    Pin,
    Unpin,
    /// Of a vote: no more is counted.
    Close,
}

/// A chat platform as herald's own account sees it. `place` is a channel's or room's id there.
#[async_trait]
pub trait Chat: Send + Sync {
    /// Sends a message. The same key sent again within the platform's key window is the same message.
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError>;
    /// Looks for a message of ours with this key in the recent history: the read-back before a resend.
    /// `since` bounds how far back it need look.
    async fn find(&self, place: &str, key: &PostKey, since: Timestamp) -> Result<Option<Accepted>, ChatError>;
    /// Opens a thread below the message `root`, with an opening message; done twice it is done once.
    /// The returned id is what `heard` wants as `thread`.
    async fn open_thread(&self, place: &str, root: &str, title: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError>;
    /// Gives a message of ours new words and notifies nobody; done twice it is done once. The id it returns is the message's.
    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError>;
    /// Handles a message of ours; done twice it is done once.
    async fn handle(&self, _place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        Err(ChatError::Refused {
            reason: format!("{how:?} of {id}: there is no such thing here"),
            remedy: "nothing is lost by that".into(),
        })
    }
    /// Puts an upgrade's window into the calendar there, or changes what stands there under the same key.
    async fn calendar(&self, key: &PostKey, _event: &Event) -> Result<Accepted, ChatError> {
        Err(ChatError::Refused { reason: format!("there is no calendar for {key}"), remedy: "remove `event` from the notice".into() })
    }
    /// Reads the reactions to `root` and, where there is one, the replies in `thread` from the platform itself.
    async fn heard(&self, place: &str, root: &str, thread: Option<&str>) -> Result<Heard, ChatError>;
    /// Reads a vote of ours: who chose what, each choice as the reaction that means the same.
    async fn votes(&self, _place: &str, _id: &str) -> Result<Vec<Reaction>, ChatError> {
        Ok(Vec::new())
    }
    /// The place where an upgrade's posts stand together: the place itself, or a forum's topic with this key. With words (a
    /// title and a text) it is made if it isn't there; without, it is `None` then.
    async fn topic(&self, place: &str, _key: &PostKey, _words: Option<(&str, &str)>) -> Result<Option<String>, ChatError> {
        Ok(Some(place.to_owned()))
    }
    /// The place where one person alone reads herald, made if it isn't there; asked again it is the same.
    async fn direct(&self, user: &str) -> Result<String, ChatError> {
        Err(ChatError::Refused { reason: format!("there is no way to write to {user} alone"), remedy: "write to them in a room".into() })
    }
    /// What is wrong with the connection now, in words for an operator.
    fn trouble(&self) -> Option<String>;
}

/// Who gives a command, and where.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub platform: Platform,
    /// The platform's id of the account.
    pub user: &'a str,
    /// The platform's id of the channel or room.
    pub place: &'a str,
    /// The roles that they have on the Discord server, by id.
    pub roles: &'a [String],
    /// Their power in the Matrix room.
    pub power: Option<i64>,
}

impl<'a> Asker<'a> {
    /// Of whom nothing is known but the account.
    pub fn new(platform: Platform, user: &'a str, place: &'a str) -> Self {
        Self { platform, user, place, roles: &[], power: None }
    }
}

/// Whether somebody is listened to: who gives many commands at once is not, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ear {
    Open,
    /// From now on they are not, and may be told so.
    Closing,
    Closed,
}

/// Answers people's commands. Chats call it; a service implements it.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Whether this command is to be answered at all.
    fn listens(&self, asker: &Asker<'_>) -> Ear;
    /// What was ordered, or why that was not understood.
    async fn answer(&self, asker: &Asker<'_>, order: &Result<Order, Misread>) -> Body;
    /// What may be meant by what was typed so far of a part, the likeliest first.
    async fn choices(&self, asker: &Asker<'_>, verb: Verb, part: &str, typed: &str) -> Vec<String>;
    /// True the first time this id is seen: a command is answered once, over restarts too.
    async fn first_time(&self, id: &str) -> bool;
    fn now(&self) -> Timestamp;
}

// --- chains --------------------------------------------------------------------------------

#[derive(Debug, Error)]
pub enum ChainError {
    /// The node can't be reached or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// It answered, but not with what was asked for, or with what can't be understood.
    #[error("{0}")]
    Answer(String),
    /// Nodes contradict each other: nothing is believed for now.
    #[error("{0}")]
    Disagree(String),
    /// It has no such block: no longer, or not yet.
    #[error("{0}")]
    Absent(String),
    /// It no longer has the state of this block.
    #[error("{0}")]
    Gone(String),
}

/// The newest finalized block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub genesis: String,
    pub number: u64,
    pub hash: String,
    /// Every endpoint shows another block than was known: the chain's history was rewritten.
    pub rewritten: bool,
    /// Best minus finalized, in blocks.
    pub lag: u64,
}

#[async_trait]
pub trait Chain: Send + Sync {
    /// The newest finalized block that can be believed, with what is known of the chain already.
    async fn head(&self, known: Option<&Memory>) -> Result<Head, ChainError>;
    async fn block(&self, number: u64) -> Result<Block, ChainError>;
    /// The version proven at a block, by as few calls as it takes.
    async fn version(&self, number: u64) -> Result<u32, ChainError>;
    /// The hash of the code at a block, as authorizations name it; nothing where it can't be read.
    async fn code_hash(&self, number: u64) -> Result<Option<String>, ChainError>;
    /// The block for which the call of a referendum that passed is scheduled, as the state at a block has it.
    async fn enactment(&self, number: u64, referendum: u32) -> Result<Option<u64>, ChainError>;
    /// How the endpoints look now, from what is known already.
    fn sight(&self) -> Sight;
    /// What was just read does not fit: the next call looks for another endpoint.
    async fn doubt(&self);
    /// Returns when there may be a new finalized block.
    async fn changed(&self);
}

// --- the store -----------------------------------------------------------------------------

#[derive(Debug, Error)]
#[error("the store: {0}")]
pub struct StoreError(pub String);

/// An upgrade as accepted, with how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepting {
    pub upgrade: Upgrade,
    pub progress: Progress,
    /// Raised when the window moves.
    pub revision: u32,
    pub accepted: Timestamp,
    /// As a file had it that was accepted last, if one was.
    pub file: Option<Upgrade>,
    /// Fields that a command has changed since.
    pub commanded: BTreeSet<String>,
}

impl Accepting {
    /// Just known, with everything still to come.
    pub fn new(upgrade: Upgrade, now: Timestamp) -> Self {
        Self { progress: Progress::new(&upgrade), upgrade, revision: 1, accepted: now, file: None, commanded: BTreeSet::new() }
    }

    /// Where it stands, in one word: what people have decided, or else what the chains show.
    pub fn standing(&self) -> &'static str {
        let waits = self.progress.state == State::Scheduled;
        match &self.upgrade {
            u if u.cancelled.is_some() => "cancelled",
            u if u.failed.is_some() => "failed",
            u if waits && u.poll.is_some() => "planned",
            _ if waits && self.progress.delayed => "delayed",
            _ => self.progress.state.name(),
        }
    }
}

/// A command that was given and is to be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub number: i64,
    pub upgrade: String,
    pub change: Change,
    /// Who gave it, in words.
    pub author: String,
    pub at: Timestamp,
}

/// That somebody approves a notice's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    pub upgrade: String,
    /// The text's hash, which is also what people type: another text is another approval.
    pub code: String,
    pub person: String,
    pub at: Timestamp,
}

/// What becomes of a post that waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// It has another time.
    Due(Timestamp),
    /// The plan has it no more.
    Supersede,
    /// It waits for people, and for what.
    Hold(String),
    /// It waits no more.
    Release,
    /// It is of no use any more, and why.
    Expire(String),
}

/// Everything one step changes, written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub upgrades: Vec<Accepting>,
    pub memories: Vec<(String, Memory)>,
    pub facts: Vec<Fact>,
    /// Inserted if their key is new.
    pub posts: Vec<Post>,
    /// Posts that wait, planned or held, and what becomes of them.
    pub moves: Vec<(PostKey, Move)>,
    /// Commands that were followed or refused, and what came of them.
    pub answered: Vec<(i64, String)>,
    pub approvals: Vec<Approved>,
    /// Posts by the clock that no longer hold.
    pub supersede: Vec<Supersede>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.upgrades.is_empty()
            && self.memories.is_empty()
            && self.facts.is_empty()
            && self.posts.is_empty()
            && self.moves.is_empty()
            && self.answered.is_empty()
            && self.approvals.is_empty()
            && self.supersede.is_empty()
    }
}

/// Posts by the clock that have not begun and are no longer true: those of an upgrade's revisions
/// below `below`, due by `due_by`.
#[derive(Clone, Debug)]
pub struct Supersede {
    pub upgrade: String,
    pub below: u32,
    pub due_by: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    Sent {
        accepted: Accepted,
        at: Timestamp,
    },
    Retry {
        error: String,
        not_before: Timestamp,
    },
    Parked {
        error: String,
    },
    /// Read back, it is not there, and its words don't hold any more: it waits as if it was never begun.
    Unsaid {
        reason: String,
    },
    /// There is nothing left to do it to.
    Dropped {
        reason: String,
    },
    /// It comes too late to be of use.
    Skipped {
        reason: String,
    },
}

#[async_trait]
pub trait Store: Send + Sync {
    /// Says that this replica is there; `false` if another process under its name was heard of within `ttl`.
    async fn present(&self, me: &Replica, ttl: SignedDuration) -> Result<bool, StoreError>;
    /// Takes or keeps the lead for `ttl` from now, by the store's own clock. Whoever has it writes; once another has taken
    /// over, nothing that this process writes as the active one counts any more.
    async fn lead(&self, me: &Replica, ttl: SignedDuration) -> Result<Leadership, StoreError>;
    /// Leaves the lead to others at once.
    async fn resign(&self, me: &Replica) -> Result<(), StoreError>;
    /// Who shares this store.
    async fn replicas(&self) -> Result<Vec<Known>, StoreError>;
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;
    async fn upgrades(&self) -> Result<Vec<Accepting>, StoreError>;
    async fn memories(&self) -> Result<BTreeMap<String, Memory>, StoreError>;
    async fn facts(&self) -> Result<Vec<Fact>, StoreError>;
    /// The facts of one kind, oldest first.
    async fn facts_of(&self, kind: FactKind) -> Result<Vec<Fact>, StoreError>;
    /// Posts that wait, planned or held: of every upgrade, by due time.
    async fn waiting(&self) -> Result<Vec<Post>, StoreError>;
    /// Every post of an upgrade, by due time.
    async fn posts(&self, upgrade: &str) -> Result<Vec<Post>, StoreError>;
    /// The first post of a channel that is neither done nor given up, if it is due and its lease and backoff allow.
    /// Neither holds it when its last attempt began more than a minute after `now`: the clock was set back.
    async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Post>, StoreError>;
    /// Freezes the body and records an attempt; `false` when another worker was first.
    async fn begin(&self, post: &Post, body: &Body, late: bool, now: Timestamp, lease_until: Timestamp) -> Result<bool, StoreError>;
    async fn finish(&self, key: &PostKey, outcome: &Outcome) -> Result<(), StoreError>;
    /// When the first attempt at a post began: nothing of it can be older than that.
    async fn first_attempt(&self, key: &PostKey) -> Result<Option<Timestamp>, StoreError>;
    async fn post(&self, key: &PostKey) -> Result<Option<Post>, StoreError>;
    /// The newest sent post of an upgrade in a channel, by operation.
    async fn sent(&self, upgrade: &str, channel: &str, operation: Operation) -> Result<Option<Post>, StoreError>;
    /// When the first post of a channel that is neither done nor given up may be begun.
    async fn next_time(&self, channel: &str) -> Result<Option<Timestamp>, StoreError>;
    /// At a start: what was wrong is to be seen anew, and what was given up is tried again.
    async fn begin_anew(&self) -> Result<(), StoreError>;
    /// What is wrong with a part (a chain, a channel) now, or that it is well again.
    async fn set_trouble(&self, part: &str, trouble: Option<&str>, at: Timestamp) -> Result<(), StoreError>;
    /// Part, what is wrong with it and since when.
    async fn troubles(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError>;
    /// Writes down a command for whoever runs; returns its number.
    async fn request(&self, upgrade: &str, change: &Change, author: &str, at: Timestamp) -> Result<i64, StoreError>;
    /// Commands that nobody has followed yet, oldest first.
    async fn requests(&self) -> Result<Vec<Request>, StoreError>;
    /// What came of a command, once something did.
    async fn outcome(&self, request: i64) -> Result<Option<String>, StoreError>;
    /// Every approval given for an upgrade.
    async fn approvals(&self, upgrade: &str) -> Result<Vec<Approved>, StoreError>;
    /// Writes an entry down. One with its id that is there already stays (`false`), unless this one is to take its place.
    async fn write(&self, entry: &Entry, replace: bool) -> Result<bool, StoreError>;
    /// Takes an entry back; `false` if there was none.
    async fn erase(&self, kind: EntryKind, upgrade: &str, id: &str) -> Result<bool, StoreError>;
    /// The entries of a kind, oldest first.
    async fn entries(&self, kind: EntryKind, upgrade: &str) -> Result<Vec<Entry>, StoreError>;
    /// True when this id was not remembered before.
    async fn remember(&self, id: &str, at: Timestamp) -> Result<bool, StoreError>;
}
