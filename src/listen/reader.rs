//! Reads people's answers to posts. What can't be read is said once, and asked for ever more rarely.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::{
    domain::{
        outbox::{Post, PostKey},
        people::feedback::{Heard, Reaction},
    },
    outbox::{Core, destination},
    ports::{ChatError, Outlet},
};

/// The pause after a reading that failed; it doubles with each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// The pause of what is gone or refused, and will be so the next time.
const HOPELESS_PAUSE: SignedDuration = SignedDuration::from_mins(30);

/// The result of reading a message's reactions and replies.
pub(crate) enum Read<T> {
    Heard(T),
    /// The post or room is gone, or was waited for long enough, or the count does without it: it is not counted.
    Never,
    NotYet,
}

/// How much depends on a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadPurpose {
    /// A look in between: it is read again soon anyway.
    Glance,
    /// A count waits for it.
    Count,
    /// A count has waited long enough, and is made without what can't be read now.
    LastCount,
}

/// The part of a post that is left alone for a while, since it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    /// The post; it may come back.
    ForNow,
    /// The post, which is gone or refused.
    ForGood,
    /// The thread below it alone, which is gone.
    Thread,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    unread: Unread,
    since: Timestamp,
    length: SignedDuration,
}

pub(crate) struct Reader {
    core: Arc<Core>,
    pauses: Mutex<BTreeMap<PostKey, Pause>>,
}

impl Reader {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            pauses: Mutex::default(),
        }
    }

    /// Reads the reactions to a post's message and the replies in its thread. `what` names what is counted, for operators.
    pub async fn read(
        &self,
        what: &str,
        post: &Post,
        (root, thread): (&str, Option<&str>),
        purpose: ReadPurpose,
    ) -> Read<Heard> {
        let outlet = self.core.outlets.get(&post.channel);
        let Some(outlet) = outlet.filter(|o| o.platform.capabilities().answers_are_read()) else {
            return Read::Never;
        };
        let unread = self.left_alone(&post.key, purpose);
        if let Some(left) = left_out(unread, purpose) {
            return left;
        }
        let thread = thread.filter(|_| unread != Some(Unread::Thread));
        let heard = async {
            let place = destination::find(outlet, &post.channel, &post.upgrade).await?;
            outlet.chat.heard(&place, root, thread).await
        };
        let heard = heard.await;
        if let Ok(Heard {
            unread: Some(why), ..
        }) = &heard
        {
            self.pause(&post.key, Unread::Thread);
            self.tell(what, post, Some(why.clone())).await;
            return heard.map_or(Read::Never, Read::Heard);
        }
        let keeps = unread == Some(Unread::Thread);
        self.settled(what, post, heard, purpose, keeps).await
    }

    /// Reads a vote of its own.
    pub async fn votes(
        &self,
        post: &Post,
        id: &str,
        outlet: &Outlet,
        purpose: ReadPurpose,
    ) -> Read<Vec<Reaction>> {
        if let Some(left) = left_out(self.left_alone(&post.key, purpose), purpose) {
            return left;
        }
        let votes = outlet.chat.votes(&outlet.place, id).await;
        self.settled("polls", post, votes, purpose, false).await
    }

    /// Turns what was read into a result, and notes for operators when it could not be. `keeps`: what was noted before
    /// still holds.
    async fn settled<T>(
        &self,
        what: &str,
        post: &Post,
        read: Result<T, ChatError>,
        purpose: ReadPurpose,
        keeps: bool,
    ) -> Read<T> {
        let error = match read {
            Ok(read) => {
                if !keeps {
                    self.pauses.lock().remove(&post.key);
                    self.tell(what, post, None).await;
                }
                return Read::Heard(read);
            }
            Err(error) => error,
        };
        let may_return = matches!(error, ChatError::Retry { .. } | ChatError::Doubt { .. });
        let (unread, words) = match may_return {
            true => (Unread::ForNow, format!("can't be counted yet: {error}")),
            false => (Unread::ForGood, format!("can't be counted: {error}")),
        };
        self.pause(&post.key, unread);
        if purpose == ReadPurpose::LastCount {
            tracing::warn!(channel = post.channel, "{what}: {words}");
            self.tell(what, post, None).await;
            return Read::Never;
        }
        self.tell(what, post, Some(words)).await;
        match purpose {
            ReadPurpose::Count if may_return => Read::NotYet,
            _ => Read::Never,
        }
    }

    async fn tell(&self, what: &str, post: &Post, trouble: Option<String>) {
        let part = format!("{what} in {}", post.channel);
        let troubles = &self.core.troubles;
        troubles.note_of(&post.upgrade, &part, trouble).await;
    }

    /// Returns what of a post is left alone now. A last count asks for all of it.
    fn left_alone(&self, key: &PostKey, purpose: ReadPurpose) -> Option<Unread> {
        let now = self.core.clock.now();
        let pauses = self.pauses.lock();
        // A clock that was set back must not make it wait.
        let holds = |p: &&Pause| p.since <= now && now.duration_since(p.since) < p.length;
        let pause = pauses.get(key).filter(holds);
        pause
            .map(|p| p.unread)
            .filter(|_| purpose != ReadPurpose::LastCount)
    }

    fn pause(&self, key: &PostKey, unread: Unread) {
        let since = self.core.clock.now();
        let mut pauses = self.pauses.lock();
        let before = pauses.get(key).filter(|p| p.unread == unread);
        let length = match (unread, before) {
            (Unread::ForGood | Unread::Thread, _) => HOPELESS_PAUSE,
            (Unread::ForNow, None) => FIRST_PAUSE,
            (Unread::ForNow, Some(before)) => (before.length * 2).min(LONGEST_PAUSE),
        };
        let pause = Pause {
            unread,
            since,
            length,
        };
        pauses.insert(key.clone(), pause);
    }
}

/// The result for a post that is left alone as a whole.
fn left_out<T>(unread: Option<Unread>, purpose: ReadPurpose) -> Option<Read<T>> {
    match unread? {
        Unread::ForNow if purpose == ReadPurpose::Count => Some(Read::NotYet),
        Unread::ForNow | Unread::ForGood => Some(Read::Never),
        Unread::Thread => None,
    }
}
