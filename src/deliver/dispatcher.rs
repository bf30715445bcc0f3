//! Brings due posts to their channels: in order, one at a time a channel, each once.
//!
//! A post is rendered and frozen together with the record that an attempt begins. If that attempt's
//! end is not known (a crash, a time-out), the channel is read back for the post's key before it is
//! sent again, and it is sent with the same key.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::{
    approval::gate::Gate,
    backoff::backoff,
    lateness::{is_late, outlived},
};
use crate::{
    config::OnDoubt,
    domain::{
        campaign::Campaign,
        outbox::post::{Operation, Post, PostKey, PostState},
        plan::notice::{Happening, Trigger},
    },
    outbox::Core,
    ports::{
        Accepted, AttemptOutcome, ChatError, Handling, Outgoing, Outlet, StoreError,
        lease::{Broken, while_allowed},
    },
    words::snapshot::ConfigSnapshot,
};

pub struct Dispatcher {
    pub(crate) core: Arc<Core>,
    pub(crate) gate: Gate,
    /// How often posts have failed in a row, in this process: an attempt that a crash broke off says nothing of the chat.
    failed: Mutex<BTreeMap<PostKey, u32>>,
}

/// What one post came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    Sent,
    /// It will be tried again later.
    Failed,
    Parked,
    /// It may not go out, now or ever.
    Held,
    /// It came too late to be of use.
    Skipped,
    /// It is not out, and what it said no longer holds: it is looked at anew.
    Unsaid,
    /// Another worker has it.
    Passed,
}

impl Did {
    /// Nothing more is to be tried in this channel for now.
    pub fn waits(self) -> bool {
        matches!(self, Self::Failed | Self::Passed)
    }
}

impl Dispatcher {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            gate: Gate::new(core.clone()),
            core,
            failed: Mutex::default(),
        }
    }

    pub fn channels(&self) -> Vec<String> {
        self.core.channels()
    }

    /// Posts everything that is due in one channel; stops at the first that has to wait.
    pub async fn tick(&self, channel: &str) -> Result<Vec<Did>, StoreError> {
        let mut done = Vec::new();
        while let Some(did) = self.step(channel).await? {
            done.push(did);
            if did.waits() {
                break;
            }
        }
        Ok(done)
    }

    /// Brings the first due post of a channel on its way; `None` if there is none.
    pub async fn step(&self, channel: &str) -> Result<Option<Did>, StoreError> {
        let Some(outlet) = self.core.outlet(channel) else {
            return Ok(None);
        };
        match self
            .core
            .store
            .next_due(channel, self.core.clock.now())
            .await?
        {
            Some(post) => self.one(&outlet, post).await.map(Some),
            None => Ok(None),
        }
    }

    async fn one(&self, outlet: &Outlet, post: Post) -> Result<Did, StoreError> {
        let now = self.core.clock.now();
        // One set of files for all that is decided and said of this post.
        let snapshot = self.core.snapshot();
        let campaign = self.core.campaign(&post.upgrade).await?;
        if let Some(campaign) = campaign
            .as_ref()
            .filter(|_| post.operation == Operation::Post && post.body.is_none())
            && let Some(did) = self.kept_back(&snapshot, campaign, &post, now).await?
        {
            return Ok(did);
        }
        // An edit is as late as the post it changes was.
        let edited = if matches!(post.operation, Operation::Edit | Operation::Mark) {
            self.core
                .store
                .post(&post.beside(Operation::Post, 0).key)
                .await?
        } else {
            None
        };
        let (due, late) = match &edited {
            Some(root) => (root.due, root.late),
            None if post.body.is_none() => (post.due, is_late(&post, now)),
            None => (post.due, post.late),
        };
        let body = match (&post.body, &campaign) {
            (Some(body), _) => Ok(body.clone()),
            (None, Some(campaign)) => {
                self.render(&snapshot, &post, campaign, outlet, (due, late), now)
                    .await?
            }
            (None, None) => Err("its upgrade is no longer known".to_owned()),
        };
        // Without its post an edit or a picture has no sense, and is no loss; a preview of another text neither, and a
        // reminder of nobody.
        let companion = post.operation.is_aside()
            || matches!(
                post.operation,
                Operation::Edit
                    | Operation::Picture
                    | Operation::Poll
                    | Operation::Mark
                    | Operation::Preview
            )
            || self.reminds(&snapshot, campaign.as_ref(), &post);
        let body = match body {
            Ok(body) => body,
            Err(error) if companion => return self.drop_it(&post, error).await,
            Err(error) => return self.park(&post, error).await,
        };
        let root = match self.root(&post).await? {
            Ok(root) => root,
            Err(error) if companion => return self.drop_it(&post, error).await,
            Err(error) => return self.park(&post, error).await,
        };
        if post.attempts == 0 && self.says_nothing_new(&post, &body).await? {
            return self
                .drop_it(&post, "it would change nothing".to_owned())
                .await;
        }
        if post.operation == Operation::Event && self.is_outdated(&post).await? {
            return self
                .drop_it(&post, "the calendar says something newer".to_owned())
                .await;
        }
        let lease_until = now
            .checked_add(self.core.delivery.lease)
            .unwrap_or(Timestamp::MAX);
        if !self
            .core
            .store
            .begin(&post, &body, late, now, lease_until)
            .await?
        {
            return Ok(Did::Passed);
        }
        let answers = match &campaign {
            Some(campaign) => self.answers(&post, campaign).await?,
            None => None,
        };
        let of = post
            .beside(
                if post.operation == Operation::Event {
                    Operation::Event
                } else {
                    Operation::Post
                },
                0,
            )
            .key;
        let out = Outgoing {
            key: &post.key,
            body: &body,
            answers: answers.as_deref(),
            of: Some(&of),
        };
        // What its frozen words say may have become untrue while the chat was away.
        let outlived = campaign.as_ref().is_some_and(|a| outlived(&post, a, now));
        let since = if post.attempts > 0 {
            self.core.store.first_attempt(&post.key).await?
        } else {
            None
        };
        let sent = self
            .send(
                outlet,
                &post,
                root.as_deref(),
                out,
                (campaign.as_ref(), since.unwrap_or(post.due), outlived),
            )
            .await;
        let failures = self.failures(&post.key, matches!(sent, Err(ChatError::Retry { .. })));
        let (outcome, did) = match sent {
            Ok(Some(accepted)) => (
                AttemptOutcome::Sent {
                    accepted,
                    at: self.core.clock.now(),
                },
                Did::Sent,
            ),
            Ok(None) => (
                AttemptOutcome::Unsaid {
                    reason: "it was not posted in time: its words are made anew".into(),
                },
                Did::Unsaid,
            ),
            Err(ChatError::Retry { reason, after_ms }) => {
                let wait = backoff(&post.key, failures, after_ms);
                let not_before = self
                    .core
                    .clock
                    .now()
                    .checked_add(wait)
                    .unwrap_or(Timestamp::MAX);
                (
                    AttemptOutcome::Retry {
                        error: reason,
                        not_before,
                    },
                    Did::Failed,
                )
            }
            // The post was deleted, or may not be edited any more; or somebody doesn't want to be written to after all.
            Err(error @ ChatError::Refused { .. })
                if matches!(
                    post.operation,
                    Operation::Edit
                        | Operation::Mark
                        | Operation::Pin
                        | Operation::Unpin
                        | Operation::Close
                ) || Post::reader(&post).is_some() =>
            {
                (
                    AttemptOutcome::Dropped {
                        reason: error.to_string(),
                    },
                    Did::Parked,
                )
            }
            Err(error @ (ChatError::Refused { .. } | ChatError::Doubt { .. })) => (
                AttemptOutcome::Parked {
                    error: error.to_string(),
                },
                Did::Parked,
            ),
        };
        self.core.store.finish(&post.key, &outcome).await?;
        let trouble = match &outcome {
            AttemptOutcome::Sent { .. } => None,
            AttemptOutcome::Retry { error, .. } | AttemptOutcome::Parked { error } => {
                Some(error.as_str())
            }
            AttemptOutcome::Unsaid { .. } => None,
            AttemptOutcome::Dropped { reason } | AttemptOutcome::Skipped { reason } => {
                tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "dropped: {reason}");
                None
            }
        };
        match (did, trouble) {
            (Did::Unsaid, _) => {
                tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "its words are made anew")
            }
            (Did::Sent, _) => {
                tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "posted");
                self.core
                    .note_trouble(&format!("channel {}", post.channel), None)
                    .await;
            }
            _ => {
                self.core
                    .note_trouble(&format!("channel {}", post.channel), trouble)
                    .await
            }
        }
        Ok(did)
    }

    /// It is for those who are missing from the roll, of whom there may be nobody left.
    fn reminds(&self, snapshot: &ConfigSnapshot, campaign: Option<&Campaign>, post: &Post) -> bool {
        let notice = campaign.and_then(|a| snapshot.plan().notice(a.upgrade.urgency, &post.notice));
        notice.is_some_and(|n| {
            matches!(
                n.trigger,
                Trigger::On(Happening::Unacknowledged | Happening::Unready)
            )
        })
    }

    /// How often a post has failed in a row before this attempt, which failed as well or didn't.
    fn failures(&self, key: &PostKey, failed: bool) -> u32 {
        let mut all = self.failed.lock();
        let before = all.remove(key).unwrap_or(0);
        if failed {
            all.insert(key.clone(), before.saturating_add(1));
        }
        before
    }

    async fn park(&self, post: &Post, error: String) -> Result<Did, StoreError> {
        tracing::error!(post = %post.key, notice = post.notice, channel = post.channel, "parked: {error}");
        self.core
            .store
            .finish(&post.key, &AttemptOutcome::Parked { error })
            .await?;
        Ok(Did::Parked)
    }

    async fn drop_it(&self, post: &Post, reason: String) -> Result<Did, StoreError> {
        tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "dropped: {reason}");
        self.core
            .store
            .finish(&post.key, &AttemptOutcome::Dropped { reason })
            .await?;
        Ok(Did::Parked)
    }

    /// The message that a thread hangs on, a picture belongs to or an edit changes.
    async fn root(&self, post: &Post) -> Result<Result<Option<String>, String>, StoreError> {
        if matches!(
            post.operation,
            Operation::Post | Operation::Preview | Operation::Event
        ) {
            return Ok(Ok(None));
        }
        // A vote that is closed is a message of its own.
        let of = if post.operation == Operation::Close {
            Operation::Poll
        } else {
            Operation::Post
        };
        let key = post.beside(of, 0).key;
        let root = self.core.store.post(&key).await?;
        Ok(
            match root
                .filter(|p| p.state == PostState::Sent)
                .and_then(|p| p.remote)
            {
                Some(remote) => Ok(Some(remote)),
                None => Err(format!(
                    "its notice ({key}) was not posted, so there is nothing it could belong to"
                )),
            },
        )
    }

    /// One attempt. With nothing in the channel of a post whose words no longer hold, nothing is sent either.
    async fn send(
        &self,
        outlet: &Outlet,
        post: &Post,
        root: Option<&str>,
        out: Outgoing<'_>,
        (campaign, since, outlived): (Option<&Campaign>, Timestamp, bool),
    ) -> Result<Option<Accepted>, ChatError> {
        // An attempt with its read-back may take many requests, but it ends before its lease does.
        let limit = Duration::try_from(self.core.delivery.lease * 9 / 10)
            .unwrap_or(Duration::from_secs(20));
        let work = async {
            let place = match post.reader() {
                Some(user) => outlet.chat.direct(user).await?,
                None => match campaign {
                    Some(campaign) => {
                        self.core
                            .place_for(outlet, &post.channel, campaign, self.core.clock.now())
                            .await?
                    }
                    None => {
                        self.core
                            .place(outlet, &post.channel, &post.upgrade)
                            .await?
                    }
                },
            };
            // Done twice they are done once: there is nothing to look for.
            match (post.operation, root, &out.body.event) {
                (Operation::Event, _, Some(event)) => {
                    return outlet
                        .chat
                        .calendar(out.of.unwrap_or(out.key), event)
                        .await
                        .map(Some);
                }
                (operation, Some(root), _) if operation.is_aside() => {
                    let how = match operation {
                        Operation::Publish => Handling::Publish,
                        Operation::Pin => Handling::Pin,
                        Operation::Close => Handling::Close,
                        _ => Handling::Unpin,
                    };
                    let done = outlet.chat.handle(&place, root, how).await;
                    return done.map(|()| {
                        Some(Accepted {
                            id: root.to_owned(),
                            link: None,
                        })
                    });
                }
                _ => {}
            }
            if post.attempts > 0 {
                match outlet.chat.find(&place, out.key, since).await {
                    Ok(Some(found)) => return Ok(Some(found)),
                    Ok(None) if outlived => return Ok(None),
                    Ok(None) => {}
                    Err(error @ ChatError::Doubt { .. })
                        if self.core.delivery.on_doubt == OnDoubt::Post =>
                    {
                        tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "posted in doubt: {error}");
                        if outlived {
                            return Ok(None);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            // Where nothing can be edited, what no longer holds is said again with the line on top.
            if let (Operation::Edit | Operation::Mark, Some(root), true) =
                (post.operation, root, outlet.platform.capabilities().edits)
            {
                return outlet.chat.edit(&place, root, out).await.map(Some);
            }
            if let (Operation::Thread, Some(root)) = (post.operation, root) {
                let title: String = format!("Feedback: {}", post.upgrade)
                    .chars()
                    .take(100)
                    .collect();
                return outlet
                    .chat
                    .open_thread(&place, root, &title, out)
                    .await
                    .map(Some);
            }
            outlet.chat.send(&place, out).await.map(Some)
        };
        let reason = match while_allowed(work, limit, &self.core.lease, &*self.core.clock).await {
            Ok(result) => return result,
            Err(Broken::Late) => format!(
                "{} did not answer within {} s",
                outlet.platform.name(),
                limit.as_secs()
            ),
            Err(Broken::Deposed) => "this replica is not the active one any more".to_owned(),
        };
        Err(ChatError::Retry {
            reason,
            after_ms: None,
        })
    }
}
