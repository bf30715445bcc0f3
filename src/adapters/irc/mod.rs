//! IRC as a chat: one nick on one server, plain lines, no more.
//!
//! A post is one line that carries its key in a message tag. The server's echo proves that it was
//! taken, and its chat history is where a post is looked for before it is sent again. So the server
//! has to speak IRCv3 (tags, labels, echoes and `draft/chathistory`), as Ergo and the bouncer soju do.
//!
//! There is nothing to edit, react to, pin or open a thread below: [`crate::ports::Capabilities`] says
//! so, and nothing of it is planned. herald listens to nobody here. The connection is plain TCP:
//! encrypted networks are reached through a bouncer on the same machine.

mod connection;
mod line;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex as Shared;
use secrecy::SecretString;
use tokio::sync::Mutex;

use self::connection::{IrcConnection, LoggedMessage};
use crate::{
    domain::{outbox::PostKey, people::feedback::Heard},
    ports::{Accepted, Chat, ChatError, Outgoing, Platform},
};

/// The server, and herald's nick there.
#[derive(Clone, Debug)]
pub struct IrcSettings {
    /// `irc.example.org:6667`
    pub server: String,
    pub nick: String,
    pub password: Option<SecretString>,
    /// The longest time that one request may take, a new connection included.
    pub timeout: Duration,
}

/// IRC as herald's nick sees it.
#[derive(Debug)]
pub struct Irc {
    settings: IrcSettings,
    /// The connection is made when it is needed and given up with its first error.
    connection: Mutex<Option<IrcConnection>>,
    trouble: Shared<Option<String>>,
}

impl Irc {
    pub fn new(settings: IrcSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            connection: Mutex::default(),
            trouble: Shared::default(),
        })
    }

    /// Proves that herald gets into a channel.
    pub async fn join(&self, place: &str) -> Result<(), ChatError> {
        let mut connection = self.connection.lock().await;
        let joined = async {
            let mut open = self.take(&mut connection).await?;
            open.join(place).await?;
            *connection = Some(open);
            Ok(())
        };
        self.in_time(joined).await
    }

    async fn take(&self, kept: &mut Option<IrcConnection>) -> Result<IrcConnection, ChatError> {
        match kept.take() {
            Some(connection) => Ok(connection),
            None => IrcConnection::open(&self.settings).await,
        }
    }

    /// Ends what takes too long, and keeps what is wrong with the connection for operators.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ChatError>>,
    ) -> Result<T, ChatError> {
        let answer = match tokio::time::timeout(self.settings.timeout, work).await {
            Ok(answer) => answer,
            Err(_) => Err(ChatError::Retry {
                reason: format!("{} did not answer in time", self.settings.server),
                after_ms: None,
            }),
        };
        *self.trouble.lock() = match &answer {
            Err(error @ ChatError::Retry { .. }) => Some(error.to_string()),
            _ => None,
        };
        answer
    }
}

fn impossible<T>(what: &str) -> Result<T, ChatError> {
    Err(ChatError::Refused {
        reason: format!("there are no {what} on IRC"),
        remedy: "nothing is lost by that".into(),
    })
}

#[async_trait]
impl Chat for Irc {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        // A line break would begin another command.
        let text = out.body.text.replace(|c: char| c.is_control(), " ");
        let limit = Platform::Irc.capabilities().max_text;
        let length = limit.count(&text);
        if length > limit.max() {
            let (unit, max) = (limit.unit(), limit.max());
            return Err(ChatError::Refused {
                reason: format!("the post has {length} {unit}; a line on IRC holds {max}"),
                remedy: "shorten its template".into(),
            });
        }
        let mut connection = self.connection.lock().await;
        let said = async {
            let mut open = self.take(&mut connection).await?;
            let id = open.say(place, out.key, &text).await?;
            *connection = Some(open);
            Ok(Accepted { id, link: None })
        };
        self.in_time(said).await
    }

    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        let mut connection = self.connection.lock().await;
        let read = async {
            let mut open = self.take(&mut connection).await?;
            let history = open.history(place).await?;
            *connection = Some(open);
            Ok(history)
        };
        let history = self.in_time(read).await?;
        // Anybody can send any tag: only what herald's nick has said is herald's.
        let own = |m: &&LoggedMessage| m.by == self.settings.nick && m.key.as_ref() == Some(&key.0);
        if let Some(found) = history.messages.iter().find(own) {
            return Ok(Some(Accepted {
                id: found.id.clone(),
                link: None,
            }));
        }
        if history.is_whole || history.messages.iter().any(|m| m.at <= since) {
            return Ok(None);
        }
        Err(ChatError::Doubt {
            reason: format!("the server's history of {place} doesn't reach back to {since}"),
            remedy: "look for the post in the channel".into(),
        })
    }

    async fn open_thread(
        &self,
        _place: &str,
        _root: &str,
        _title: &str,
        _out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        impossible("threads")
    }

    async fn edit(
        &self,
        _place: &str,
        _id: &str,
        _out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        impossible("edits")
    }

    async fn heard(
        &self,
        _place: &str,
        _root: &str,
        _thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        impossible("reactions")
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }
}
