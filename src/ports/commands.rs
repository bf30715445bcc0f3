//! People's commands: who gives one, and the service that answers.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{platform::Platform, store::StoreError};
use crate::domain::{
    outbox::Body,
    people::command::{Command, Misread, Verb},
};

/// A person gives a command, somewhere.
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
    /// An asker of whom nothing is known but the account.
    pub fn new(platform: Platform, user: &'a str, place: &'a str) -> Self {
        Self {
            platform,
            user,
            place,
            roles: &[],
            power: None,
        }
    }
}

/// The answer to whether somebody is listened to: one who gives many commands at once is not, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Open,
    /// From now on they are not, and may be told so.
    Closing,
    Closed,
}

/// Answers people's commands: chats call it, and a service implements it.
#[async_trait]
pub trait CommandHandler: Send + Sync {
    /// Returns whether one more command of theirs is to be answered at all.
    fn admit(&self, asker: &Asker<'_>) -> Admission;
    /// Carries a command out, or says why it was not understood.
    async fn answer(&self, asker: &Asker<'_>, command: &Result<Command, Misread>) -> Body;
    /// Names that may be meant by what was typed so far of a part, the likeliest first.
    async fn choices(&self, asker: &Asker<'_>, verb: Verb, part: &str, typed: &str) -> Vec<String>;
    /// True the first time this id is seen: a command that a chat delivers twice is followed once, over restarts too.
    ///
    /// # Errors
    /// The store can't be asked, so nobody knows: the command is not to be followed.
    async fn first_time(&self, id: &str) -> Result<bool, StoreError>;
    fn now(&self) -> Timestamp;
}
