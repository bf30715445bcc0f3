//! Chats for tests: one with a hook between it and herald, and a model of a platform with its rates and its failures.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    domain::{
        outbox::{CalendarEvent, PostKey},
        people::feedback::{Heard, Reaction},
    },
    ports::{Accepted, Chat, ChatError, Clock, Handling, Outgoing, Platform},
    rehearsal::SteppedClock,
};

use crate::harness::{
    dice::{Dice, one_in},
    hooks::{Call, Hook, through},
};

/// A chat with something between it and herald.
pub struct HookedChat {
    pub inner: Arc<dyn Chat>,
    pub hook: Arc<dyn Hook<ChatError>>,
}

macro_rules! chat {
    ($self:ident, $name:literal, $($call:tt)*) => {
        through(&*$self.hook, Call::named($name), $self.inner.$($call)*).await
    };
}

#[async_trait]
impl Chat for HookedChat {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        let call = Call {
            key: Some(out.key),
            ..Call::named("send")
        };
        through(&*self.hook, call, self.inner.send(place, out)).await
    }
    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        chat!(self, "find", find(place, key, since))
    }
    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        chat!(self, "open_thread", open_thread(place, root, title, out))
    }
    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        chat!(self, "edit", edit(place, id, out))
    }
    async fn handle(&self, place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        chat!(self, "handle", handle(place, id, how))
    }
    async fn calendar(&self, key: &PostKey, event: &CalendarEvent) -> Result<Accepted, ChatError> {
        chat!(self, "calendar", calendar(key, event))
    }
    async fn direct(&self, user: &str) -> Result<String, ChatError> {
        chat!(self, "direct", direct(user))
    }
    async fn heard(
        &self,
        place: &str,
        root: &str,
        thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        chat!(self, "heard", heard(place, root, thread))
    }
    async fn votes(&self, place: &str, id: &str) -> Result<Vec<Reaction>, ChatError> {
        chat!(self, "votes", votes(place, id))
    }
    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}

// --- a platform as its documents have it ----------------------------------------------------------

/// How long a chat knows a key by itself.
const KEY_WINDOW: SignedDuration = SignedDuration::from_mins(3);

#[derive(Clone, Debug)]
pub struct Message {
    pub key: PostKey,
    pub place: String,
    /// The message below which it is, in a thread.
    pub root: Option<String>,
    pub text: String,
    pub at: Timestamp,
}

/// A request that a chat was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub place: String,
    pub at: Timestamp,
    pub taken: bool,
    /// It was told before to wait until later than this.
    pub too_soon: bool,
}

/// So many requests at once in a place, and then one in so many milliseconds: as the platforms' documents have it, or their
/// servers as they come.
fn rate(platform: Platform) -> (i64, i64) {
    match platform {
        Platform::Discord => (5, 1_000),
        _ => (10, 5_000),
    }
}

#[derive(Default)]
struct Room {
    messages: Vec<Message>,
    asked: Vec<Asked>,
    /// When the requests of each place were taken, the last ones.
    taken: BTreeMap<String, Vec<i64>>,
    wait_until: BTreeMap<String, Timestamp>,
    pinned: BTreeSet<String>,
    events: BTreeMap<PostKey, CalendarEvent>,
}

pub struct ModelChat {
    platform: Platform,
    clock: Arc<SteppedClock>,
    dice: Mutex<Option<Dice>>,
    pub away: AtomicBool,
    room: Mutex<Room>,
}

impl ModelChat {
    pub fn new(platform: Platform, clock: Arc<SteppedClock>, dice: Option<Dice>) -> Self {
        Self {
            platform,
            clock,
            dice: Mutex::new(dice),
            away: AtomicBool::new(false),
            room: Mutex::default(),
        }
    }

    pub fn messages(&self) -> Vec<Message> {
        self.room
            .lock()
            .expect("nobody panics with it")
            .messages
            .clone()
    }

    /// What is pinned, and what stands in the calendar.
    pub fn around(&self) -> (BTreeSet<String>, BTreeMap<PostKey, CalendarEvent>) {
        let room = self.room.lock().expect("nobody panics with it");
        (room.pinned.clone(), room.events.clone())
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.room
            .lock()
            .expect("nobody panics with it")
            .asked
            .clone()
    }

    /// What happens before a request is taken: the chat is away, or says that it is too much.
    fn admit(&self, place: &str) -> Result<(), ChatError> {
        let now = self.clock.now();
        let mut room = self.room.lock().expect("nobody panics with it");
        let too_soon = room.wait_until.get(place).is_some_and(|until| now < *until);
        let (burst, interval) = rate(self.platform);
        let taken = room.taken.entry(place.to_owned()).or_default();
        let span = burst * interval;
        taken.retain(|at| now.as_millisecond() - at < span);
        let refused = if self.away.load(Ordering::Relaxed) {
            Some(ChatError::Retry {
                reason: "the connection was refused".into(),
                after_ms: None,
            })
        } else if let Some(first) = taken.first().filter(|_| taken.len() as i64 >= burst) {
            let after = u64::try_from(first + span - now.as_millisecond()).unwrap_or(1);
            room.wait_until.insert(
                place.to_owned(),
                now + SignedDuration::from_millis(after as i64),
            );
            Some(ChatError::Retry {
                reason: "too many requests".into(),
                after_ms: Some(after),
            })
        } else {
            taken.push(now.as_millisecond());
            None
        };
        room.asked.push(Asked {
            place: place.to_owned(),
            at: now,
            taken: refused.is_none(),
            too_soon,
        });
        refused.map_or(Ok(()), Err)
    }

    async fn say(
        &self,
        place: &str,
        root: Option<&str>,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        tokio::task::yield_now().await;
        self.admit(place)?;
        let broken = || ChatError::Retry {
            reason: "the connection broke".into(),
            after_ms: None,
        };
        if one_in(10, &self.dice) {
            return Err(broken());
        }
        let now = self.clock.now();
        {
            let messages = &mut self.room.lock().expect("nobody panics with it").messages;
            let same = |m: &Message| {
                m.key == *out.key && m.place == place && now.duration_since(m.at) < KEY_WINDOW
            };
            if !messages.iter().any(same) {
                let text = out.body.text.clone();
                messages.push(Message {
                    key: out.key.clone(),
                    place: place.into(),
                    root: root.map(str::to_owned),
                    text,
                    at: now,
                });
            }
        }
        tokio::task::yield_now().await;
        if one_in(10, &self.dice) {
            return Err(broken());
        }
        Ok(Accepted {
            id: out.key.0.clone(),
            link: None,
        })
    }
}

#[async_trait]
impl Chat for ModelChat {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        self.say(place, None, out).await
    }

    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        _since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        tokio::task::yield_now().await;
        if self.away.load(Ordering::Relaxed) || one_in(20, &self.dice) {
            let (place, at) = (place.to_owned(), self.clock.now());
            self.room
                .lock()
                .expect("nobody panics with it")
                .asked
                .push(Asked {
                    place,
                    at,
                    taken: false,
                    too_soon: false,
                });
            return Err(ChatError::Retry {
                reason: "the connection broke".into(),
                after_ms: None,
            });
        }
        let room = self.room.lock().expect("nobody panics with it");
        let found = room
            .messages
            .iter()
            .find(|m| m.key == *key && m.place == place);
        Ok(found.map(|m| Accepted {
            id: m.key.0.clone(),
            link: None,
        }))
    }

    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        _title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        self.say(place, Some(root), out).await
    }

    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        tokio::task::yield_now().await;
        self.admit(place)?;
        let mut room = self.room.lock().expect("nobody panics with it");
        let message = room
            .messages
            .iter_mut()
            .find(|m| m.place == place && m.key.0 == id && m.root.is_none());
        let Some(message) = message else {
            return Err(ChatError::Gone {
                reason: format!("there is no message {id}"),
                remedy: "look".into(),
            });
        };
        message.text = out.body.text.clone();
        Ok(Accepted {
            id: id.to_owned(),
            link: None,
        })
    }

    async fn handle(&self, place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        tokio::task::yield_now().await;
        self.admit(place)?;
        let mut room = self.room.lock().expect("nobody panics with it");
        match how {
            Handling::Publish | Handling::Close => {}
            Handling::Pin => drop(room.pinned.insert(id.to_owned())),
            Handling::Unpin => drop(room.pinned.remove(id)),
        }
        Ok(())
    }

    async fn calendar(&self, key: &PostKey, event: &CalendarEvent) -> Result<Accepted, ChatError> {
        tokio::task::yield_now().await;
        self.admit("the calendar")?;
        self.room
            .lock()
            .expect("nobody panics with it")
            .events
            .insert(key.clone(), event.clone());
        Ok(Accepted {
            id: key.0.clone(),
            link: None,
        })
    }

    async fn heard(
        &self,
        _place: &str,
        _root: &str,
        _thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(ChatError::Retry {
                reason: "the connection was refused".into(),
                after_ms: None,
            });
        }
        Ok(Heard::default())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
