//! The rules by which rows come into the outbox, and the one way in which they are written.

use std::{collections::BTreeSet, sync::Arc};

use jiff::SignedDuration;
use tokio::sync::{Mutex, Notify, futures::Notified};

use super::{Announcement, Files};
use crate::{
    config::Deployment,
    domain::{
        campaign::Campaign,
        chain::fact::Fact,
        outbox::{Operation, Post, PostKey, PostState, cut},
        plan::notice::{Happening, Trigger},
    },
    ports::{Batch, Clock, Move, Readers, Store, StoreError},
    words::{ballot, context, limits::MAX_DETAIL_CHARS},
};

/// A post that is kept up to date is edited no more often than this.
const EDIT_PAUSE: SignedDuration = SignedDuration::from_secs(30);

pub struct Outbox {
    files: Arc<Files>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    /// Held while state is read, changed and written.
    ledger: Mutex<()>,
    /// Rung when posts may have become due.
    bell: Notify,
}

impl Outbox {
    pub(super) fn new(files: Arc<Files>, clock: Arc<dyn Clock>, store: Arc<dyn Store>) -> Self {
        Self {
            files,
            clock,
            store,
            ledger: Mutex::new(()),
            bell: Notify::new(),
        }
    }

    /// Reads, decides and writes while nobody else does. The batch that `work` fills is committed if anything is in it, and
    /// those who wait for posts are woken. After an error nothing is changed.
    pub async fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl AsyncFnOnce(&mut Batch) -> Result<T, E>,
    ) -> Result<T, E> {
        let _guard = self.ledger.lock().await;
        let mut batch = Batch::default();
        let result = work(&mut batch).await?;
        if !batch.is_empty() {
            let rings = concerns_posts(&batch);
            self.store.commit(batch).await?;
            if rings {
                self.bell.notify_waiters();
            }
        }
        Ok(result)
    }

    /// Ends at the next transaction after which posts may be due. Enable it before looking, so that none is missed.
    pub fn rung(&self) -> Notified<'_> {
        self.bell.notified()
    }

    /// The posts of a thing that has happened, due now, for each notice that waits for it.
    pub fn posts_on(
        &self,
        campaign: &Campaign,
        happening: Happening,
        occurrence: &str,
        fact: Option<&Fact>,
    ) -> Vec<Post> {
        let now = self.clock.now();
        let snapshot = self.files.in_force();
        let plan = snapshot.plan();
        let voted = happening == Happening::WindowProposed && ballot::has_words(&snapshot.config);
        let mut posts = Vec::new();
        for (index, notice) in plan
            .notices(campaign.upgrade.urgency)
            .iter()
            .enumerate()
            .filter(|(_, notice)| notice.trigger == Trigger::On(happening))
        {
            let announcement = Announcement {
                upgrade: &campaign.upgrade.id,
                revision: match happening {
                    Happening::Rescheduled => campaign.revision,
                    _ => 0,
                },
                notice,
                index,
                occurrence,
                due: now.checked_add(notice.delay).unwrap_or(now),
            };
            let mut made = announcement.posts();
            let pictured = notice.picture && context::pictured(&campaign.progress).is_some();
            for (_, operation) in [(pictured, Operation::Picture), (voted, Operation::Poll)]
                .into_iter()
                .filter(|(wanted, _)| *wanted)
            {
                add_beside(&mut made, operation, &snapshot.config.deployment);
            }
            posts.append(&mut made);
        }
        posts.retain(|p| self.is_possible(p));
        posts.iter_mut().for_each(|p| p.fact = fact.cloned());
        // The plan says who may hear of an upgrade that nobody has announced.
        if campaign.upgrade.unplanned && plan.unplanned == Readers::Operators {
            let channels = &snapshot.config.deployment.channels;
            posts.retain(|p| {
                let channel = channels.get(&p.channel);
                channel.is_some_and(|c| c.readers == Readers::Operators)
            });
        }
        posts
    }

    /// The posts of something that people have done or herald has to say of itself: no fact stands behind it.
    pub fn posts_about(
        &self,
        campaign: &Campaign,
        happening: Happening,
        occurrence: &str,
        detail: Option<&str>,
    ) -> Vec<Post> {
        let mut posts = self.posts_on(campaign, happening, occurrence, None);
        let detail = detail.map(|detail| cut(detail, MAX_DETAIL_CHARS));
        posts.iter_mut().for_each(|p| p.detail.clone_from(&detail));
        posts
    }

    /// Returns whether the platform of its channel has what a post would do; what it hasn't is not planned.
    pub fn is_possible(&self, post: &Post) -> bool {
        let snapshot = self.files.in_force();
        let channel = snapshot.config.deployment.channels.get(&post.channel);
        channel.is_none_or(|c| c.platform.capabilities().allows(post.operation))
    }

    /// Adds a line on top of a post that is out; `why` is what no longer holds, or a correction.
    pub fn mark(&self, batch: &mut Batch, root: &Post, posts: &[Post], why: &str) {
        // Several marks may come about at once.
        let known = posts.iter().chain(&batch.posts);
        let edition = next_edition(&editions(root, Operation::Mark, known));
        batch.posts.push(Post {
            due: self.clock.now(),
            detail: Some(why.to_owned()),
            ..root.beside(Operation::Mark, edition)
        });
    }

    /// New words for the posts that are kept up to date; newer ones take the place of those that still wait.
    pub fn edits(&self, batch: &mut Batch, campaign: &Campaign, posts: &[Post]) {
        let snapshot = self.files.in_force();
        let urgency = campaign.upgrade.urgency;
        batch.posts.extend(self.pinned_anew(posts));
        for root in posts.iter().filter(|p| {
            p.is_message()
                && matches!(
                    p.state,
                    PostState::Sent | PostState::Sending | PostState::Planned
                )
        }) {
            let Some(notice) = snapshot
                .plan()
                .notice(urgency, &root.notice)
                .filter(|n| n.live)
            else {
                continue;
            };
            self.renew(batch, root, Operation::Edit, posts);
            // Before the message is out, the event waits with it, and says at its turn what is so then.
            let is_out = root.state != PostState::Planned;
            if is_out && notice.calendar.as_ref() == Some(&root.channel) {
                self.renew(batch, root, Operation::Event, posts);
            }
        }
        batch.posts.extend(self.unpinned(campaign, posts));
        batch.posts.extend(self.closed(campaign, posts));
    }

    /// The end of votes that are counted, or that are on what is no longer proposed.
    fn closed(&self, campaign: &Campaign, posts: &[Post]) -> Vec<Post> {
        let is_over = |p: &Post| p.operation == Operation::Poll && !ballot::is_open(campaign, p);
        self.ended(posts, is_over, Operation::Close)
    }

    /// The end of an upgrade's boards once it is over: they make room for the next one's.
    pub fn unpinned(&self, campaign: &Campaign, posts: &[Post]) -> Vec<Post> {
        let is_over = |p: &Post| p.operation == Operation::Pin && campaign.progress.finished();
        self.ended(posts, is_over, Operation::Unpin)
    }

    /// An operation that ends others, once for each of them that is out.
    fn ended(
        &self,
        posts: &[Post],
        is_over: impl Fn(&Post) -> bool,
        operation: Operation,
    ) -> Vec<Post> {
        let ends = posts
            .iter()
            .filter(|p| p.state == PostState::Sent && is_over(p))
            .map(|p| Post {
                due: self.clock.now(),
                ..p.beside(operation, 0)
            });
        let mut keys: BTreeSet<PostKey> = posts.iter().map(|p| p.key.clone()).collect();
        ends.filter(|end| keys.insert(end.key.clone())).collect()
    }

    /// Pins for the boards that an edit has made anew, since somebody had deleted them.
    pub fn pinned_anew(&self, posts: &[Post]) -> Vec<Post> {
        let made_anew = |edit: &&Post| {
            let root = edit.key_beside(Operation::Post, 0);
            let has = |operation| {
                let key = edit.key_beside(operation, 0);
                posts.iter().any(|p| p.key == key)
            };
            let has_message = |p: &Post| p.remote == edit.remote && p.state == PostState::Sent;
            let is_before = |p: &Post| {
                p.key == root
                    || p.operation == Operation::Edit
                        && p.edition < edit.edition
                        && p.is_beside(edit)
            };
            edit.operation == Operation::Edit
                && edit.state == PostState::Sent
                && has(Operation::Pin)
                && !has(Operation::Unpin)
                && !posts.iter().any(|p| is_before(p) && has_message(p))
        };
        let pins = posts.iter().filter(made_anew).map(|edit| Post {
            due: self.clock.now(),
            ..edit.beside(Operation::Pin, edit.edition)
        });
        pins.filter(|pin| !posts.iter().any(|p| p.key == pin.key))
            .collect()
    }

    /// The next edition of what is kept up to date, a while after the last.
    fn renew(&self, batch: &mut Batch, root: &Post, operation: Operation, posts: &[Post]) {
        let now = self.clock.now();
        let editions = editions(root, operation, posts);
        let waiting = editions.iter().filter(|p| p.state == PostState::Planned);
        batch
            .moves
            .extend(waiting.map(|p| (p.key.clone(), Move::Supersede)));
        let next = root.beside(operation, next_edition(&editions));
        if !self.is_possible(&next) {
            return;
        }
        let last = editions.iter().filter_map(|p| p.sent).max().or(root.sent);
        let due = last
            .and_then(|at| at.checked_add(EDIT_PAUSE).ok())
            .unwrap_or(now)
            .max(now);
        batch.posts.push(Post { due, ..next });
    }
}

/// Adds a picture or a vote beside each message.
fn add_beside(made: &mut Vec<Post>, operation: Operation, deployment: &Deployment) {
    let is_beside = |p: &&Post| p.is_message() && deployment.channels.contains_key(&p.channel);
    let messages = made.iter().filter(is_beside);
    let beside: Vec<Post> = messages.map(|p| p.beside(operation, 0)).collect();
    made.extend(beside);
}

/// Returns whether posts may be due after a batch that were not before: facts and memories alone make none so.
fn concerns_posts(batch: &Batch) -> bool {
    let Batch {
        upgrades,
        memories: _,
        facts: _,
        posts,
        moves,
        answered,
        approvals,
        supersede,
    } = batch;
    !(upgrades.is_empty()
        && posts.is_empty()
        && moves.is_empty()
        && answered.is_empty()
        && approvals.is_empty()
        && supersede.is_empty())
}

/// The editions of an operation on a post, so far.
fn editions<'a>(
    root: &Post,
    operation: Operation,
    posts: impl IntoIterator<Item = &'a Post>,
) -> Vec<&'a Post> {
    posts
        .into_iter()
        .filter(|p| p.operation == operation && p.is_beside(root))
        .collect()
}

fn next_edition(editions: &[&Post]) -> u32 {
    editions.iter().map(|p| p.edition).max().unwrap_or(0) + 1
}
