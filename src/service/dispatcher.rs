//! Brings due posts to their channels: in order, one at a time a channel, each once.
//!
//! A post is rendered and frozen together with the record that an attempt begins. If that attempt's
//! end is not known (a crash, a time-out), the channel is read back for the post's key before it is
//! sent again, and it is sent with the same key.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Book, CORRECTION, Core, Outlet,
    backoff::backoff,
    context,
    gate::Gate,
    mention,
    press::Wanted,
    review::DISCORD_LIMIT,
    rollcall, subscription,
    tenure::{Broken, while_allowed},
    timely::{is_late, outlived},
};
use crate::{
    config::OnDoubt,
    domain::{
        command::Verb,
        language::Language,
        notice::{Happening, Notice, Trigger},
        post::{Body, Button, Operation, Post, PostKey, PostState},
    },
    picture,
    ports::{Accepted, Accepting, ChatError, Outcome, Outgoing, Platform, StoreError},
};

pub struct Dispatcher {
    pub(super) core: Arc<Core>,
    pub(super) gate: Gate,
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
        Self { gate: Gate::new(core.clone()), core, failed: Mutex::default() }
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
        let Some(outlet) = self.core.outlet(channel) else { return Ok(None) };
        match self.core.store.next_due(channel, self.core.clock.now()).await? {
            Some(post) => self.one(&outlet, post).await.map(Some),
            None => Ok(None),
        }
    }

    async fn one(&self, outlet: &Outlet, post: Post) -> Result<Did, StoreError> {
        let now = self.core.clock.now();
        // One set of files for all that is decided and said of this post.
        let book = self.core.book();
        let accepted = self.core.accepted(&post.upgrade).await?;
        if let Some(accepted) = accepted.as_ref().filter(|_| post.operation == Operation::Post && post.body.is_none())
            && let Some(did) = self.kept_back(&book, accepted, &post, now).await?
        {
            return Ok(did);
        }
        // An edit is as late as the post it changes was.
        let edited = if matches!(post.operation, Operation::Edit | Operation::Mark) {
            self.core.store.post(&post.beside(Operation::Post, 0).key).await?
        } else {
            None
        };
        let (due, late) = match &edited {
            Some(root) => (root.due, root.late),
            None if post.body.is_none() => (post.due, is_late(&post, now)),
            None => (post.due, post.late),
        };
        let body = match (&post.body, &accepted) {
            (Some(body), _) => Ok(body.clone()),
            (None, Some(accepted)) => self.render(&book, &post, accepted, outlet, (due, late), now).await?,
            (None, None) => Err("its upgrade is no longer known".to_owned()),
        };
        // Without its post an edit or a picture has no sense, and is no loss; a preview of another text neither, and a
        // reminder of nobody.
        let companion = matches!(post.operation, Operation::Edit | Operation::Picture | Operation::Mark | Operation::Preview)
            || self.reminds(&book, accepted.as_ref(), &post);
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
        if post.operation == Operation::Edit && post.attempts == 0 && self.says_nothing_new(&post, &body).await? {
            return self.drop_it(&post, "it would change nothing".to_owned()).await;
        }
        let lease_until = now.checked_add(self.core.delivery.lease).unwrap_or(Timestamp::MAX);
        if !self.core.store.begin(&post, &body, late, now, lease_until).await? {
            return Ok(Did::Passed);
        }
        let answers = match &accepted {
            Some(accepted) => self.answers(&post, accepted).await?,
            None => None,
        };
        let out = Outgoing { key: &post.key, body: &body, answers: answers.as_deref() };
        // What its frozen words say may have become untrue while the chat was away.
        let outlived = accepted.as_ref().is_some_and(|a| outlived(&post, a, now));
        let since = if post.attempts > 0 { self.core.store.first_attempt(&post.key).await? } else { None };
        let sent = self.send(outlet, &post, root.as_deref(), out, (since.unwrap_or(post.due), outlived)).await;
        let failures = self.failures(&post.key, matches!(sent, Err(ChatError::Retry { .. })));
        let (outcome, did) = match sent {
            Ok(Some(accepted)) => (Outcome::Sent { accepted, at: self.core.clock.now() }, Did::Sent),
            Ok(None) => (Outcome::Unsaid { reason: "it was not posted in time: its words are made anew".into() }, Did::Unsaid),
            Err(ChatError::Retry { reason, after_ms }) => {
                let wait = backoff(&post.key, failures, after_ms);
                let not_before = self.core.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
                (Outcome::Retry { error: reason, not_before }, Did::Failed)
            }
            // The post was deleted, or may not be edited any more; or somebody doesn't want to be written to after all.
            Err(error @ ChatError::Refused { .. })
                if matches!(post.operation, Operation::Edit | Operation::Mark) || subscription::reader(&post).is_some() =>
            {
                (Outcome::Dropped { reason: error.to_string() }, Did::Parked)
            }
            Err(error @ (ChatError::Refused { .. } | ChatError::Doubt { .. })) => {
                (Outcome::Parked { error: error.to_string() }, Did::Parked)
            }
        };
        self.core.store.finish(&post.key, &outcome).await?;
        let trouble = match &outcome {
            Outcome::Sent { .. } => None,
            Outcome::Retry { error, .. } | Outcome::Parked { error } => Some(error.as_str()),
            Outcome::Unsaid { .. } => None,
            Outcome::Dropped { reason } | Outcome::Skipped { reason } => {
                tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "dropped: {reason}");
                None
            }
        };
        match (did, trouble) {
            (Did::Unsaid, _) => tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "its words are made anew"),
            (Did::Sent, _) => {
                tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "posted");
                self.core.note_trouble(&format!("channel {}", post.channel), None).await;
            }
            _ => self.core.note_trouble(&format!("channel {}", post.channel), trouble).await,
        }
        Ok(did)
    }

    /// It is for those who are missing from the roll, of whom there may be nobody left.
    fn reminds(&self, book: &Book, accepted: Option<&Accepting>, post: &Post) -> bool {
        let notice = accepted.and_then(|a| book.plan().notice(a.upgrade.urgency, &post.notice));
        notice.is_some_and(|n| matches!(n.trigger, Trigger::On(Happening::Unacknowledged | Happening::Unready)))
    }

    /// How often a post has failed in a row before this attempt, which failed as well or didn't.
    fn failures(&self, key: &PostKey, failed: bool) -> u32 {
        let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(key).unwrap_or(0);
        if failed {
            all.insert(key.clone(), before.saturating_add(1));
        }
        before
    }

    async fn park(&self, post: &Post, error: String) -> Result<Did, StoreError> {
        tracing::error!(post = %post.key, notice = post.notice, channel = post.channel, "parked: {error}");
        self.core.store.finish(&post.key, &Outcome::Parked { error }).await?;
        Ok(Did::Parked)
    }

    async fn drop_it(&self, post: &Post, reason: String) -> Result<Did, StoreError> {
        tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "dropped: {reason}");
        self.core.store.finish(&post.key, &Outcome::Dropped { reason }).await?;
        Ok(Did::Parked)
    }

    /// Whether the post, as edited last, reads like this already.
    async fn says_nothing_new(&self, edit: &Post, body: &Body) -> Result<bool, StoreError> {
        for edition in (0..edit.edition).rev() {
            let operation = if edition == 0 { Operation::Post } else { Operation::Edit };
            let before = self.core.store.post(&edit.beside(operation, edition).key).await?;
            if let Some(before) = before.filter(|p| p.state == PostState::Sent) {
                return Ok(before.body.is_some_and(|b| b.text == body.text));
            }
        }
        Ok(false)
    }

    /// The message that a thread hangs on, a picture belongs to or an edit changes.
    async fn root(&self, post: &Post) -> Result<Result<Option<String>, String>, StoreError> {
        if matches!(post.operation, Operation::Post | Operation::Preview) {
            return Ok(Ok(None));
        }
        let key = PostKey::of(&post.upgrade, post.revision, &post.notice, &post.occurrence, &post.channel, Operation::Post);
        let root = self.core.store.post(&key).await?;
        Ok(match root.filter(|p| p.state == PostState::Sent).and_then(|p| p.remote) {
            Some(remote) => Ok(Some(remote)),
            None => Err(format!("its notice ({key}) was not posted, so there is nothing it could belong to")),
        })
    }

    /// One attempt. With nothing in the channel of a post whose words no longer hold, nothing is sent either.
    async fn send(
        &self,
        outlet: &Outlet,
        post: &Post,
        root: Option<&str>,
        out: Outgoing<'_>,
        (since, outlived): (Timestamp, bool),
    ) -> Result<Option<Accepted>, ChatError> {
        // An attempt with its read-back may take many requests, but it ends before its lease does.
        let limit = Duration::try_from(self.core.delivery.lease * 9 / 10).unwrap_or(Duration::from_secs(20));
        let work = async {
            let place = match subscription::reader(post) {
                Some(user) => outlet.chat.direct(user).await?,
                None => outlet.place.clone(),
            };
            if post.attempts > 0 {
                match outlet.chat.find(&place, out.key, since).await {
                    Ok(Some(found)) => return Ok(Some(found)),
                    Ok(None) if outlived => return Ok(None),
                    Ok(None) => {}
                    Err(error @ ChatError::Doubt { .. }) if self.core.delivery.on_doubt == OnDoubt::Post => {
                        tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "posted in doubt: {error}");
                        if outlived {
                            return Ok(None);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            if let (Operation::Edit | Operation::Mark, Some(root)) = (post.operation, root) {
                return outlet.chat.edit(&place, root, out).await.map(Some);
            }
            if let (Operation::Thread, Some(root)) = (post.operation, root) {
                let title: String = format!("Feedback: {}", post.upgrade).chars().take(100).collect();
                return outlet.chat.open_thread(&place, root, &title, out).await.map(Some);
            }
            outlet.chat.send(&place, out).await.map(Some)
        };
        let reason = match while_allowed(work, limit, &self.core.tenure, &*self.core.clock).await {
            Ok(result) => return result,
            Err(Broken::Late) => format!("{} did not answer within {} s", outlet.platform.name(), limit.as_secs()),
            Err(Broken::Deposed) => "this replica is not the active one any more".to_owned(),
        };
        Err(ChatError::Retry { reason, after_ms: None })
    }

    async fn render(
        &self,
        book: &Arc<Book>,
        post: &Post,
        accepted: &Accepting,
        outlet: &Outlet,
        (due, late): (Timestamp, bool),
        now: Timestamp,
    ) -> Result<Result<Body, String>, StoreError> {
        if post.operation == Operation::Preview {
            return self.gate.preview(book, accepted, outlet, post).await;
        }
        let Some(notice) = book.plan().notice(accepted.upgrade.urgency, &post.notice) else {
            return Ok(Err(format!("the plan no longer has a notice `{}`", post.notice)));
        };
        let thread = self.core.store.sent(&post.upgrade, &post.channel, Operation::Thread).await?.and_then(|p| p.link);
        let reminded = rollcall::missing(&self.core, book, accepted, outlet, post).await?;
        if reminded.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Err("nobody is missing any more".to_owned()));
        }
        let correction = post.detail.as_deref().and_then(|d| d.strip_prefix(CORRECTION)).filter(|_| post.operation == Operation::Mark);
        let moment = context::Moment {
            fact: post.fact.as_ref(),
            due: Some(due),
            late,
            thread: thread.as_deref(),
            detail: post.detail.as_deref(),
            correction,
            missing: reminded.as_deref().unwrap_or_default(),
            ..Default::default()
        };
        if post.operation == Operation::Mark {
            return self.marked(post, accepted, notice, outlet, &moment, now).await;
        }
        // A reminder that is on time says "in 1 hour", not "in 59 minutes" for the second it took.
        let seen_at = if late || post.operation == Operation::Edit { now } else { due };
        Ok(body(&self.core, book, (accepted, notice), post.operation, outlet, &moment, seen_at))
    }
}

impl Dispatcher {
    /// The message that a post answers: what takes something back, the last one in its channel that it is about; a window
    /// that is set, the poll on it. Until the post is out nothing else is posted there, so each try answers the same.
    async fn answers(&self, post: &Post, accepted: &Accepting) -> Result<Option<String>, StoreError> {
        let book = self.core.book();
        let notice = |post: &Post| book.plan().notice(accepted.upgrade.urgency, &post.notice);
        let on = |post: &Post, wanted: &dyn Fn(Happening) -> bool| {
            notice(post).is_some_and(|n| matches!(n.trigger, Trigger::On(happening) if wanted(happening)))
        };
        let (takes_back, sets) = (on(post, &Happening::answers), on(post, &|happening| happening == Happening::WindowSet));
        if post.operation != Operation::Post || !(takes_back || sets) {
            return Ok(None);
        }
        // The board says at all times what is so: there is nothing in it to take back.
        let said = |p: &&Post| {
            p.channel == post.channel
                && p.operation == Operation::Post
                && p.state == PostState::Sent
                && !notice(p).is_some_and(|n| n.board)
                && (takes_back || on(p, &|happening| happening == Happening::WindowProposed))
        };
        let posts = self.core.store.posts(&post.upgrade).await?;
        Ok(posts.iter().filter(said).max_by_key(|p| (p.due, p.rank)).and_then(|p| p.remote.clone()))
    }

    /// What a post says, with a line on top that it no longer holds.
    async fn marked(
        &self,
        post: &Post,
        accepted: &Accepting,
        notice: &Notice,
        outlet: &Outlet,
        moment: &context::Moment<'_>,
        now: Timestamp,
    ) -> Result<Result<Body, String>, StoreError> {
        let root = self.core.store.post(&post.beside(Operation::Post, 0).key).await?.filter(|p| p.state == PostState::Sent);
        let Some(said) = root.and_then(|p| p.body) else { return Ok(Err("its notice was not posted".to_owned())) };
        Ok(body(&self.core, &self.core.book(), (accepted, notice), Operation::Mark, outlet, moment, now).map(|mark| Body {
            text: shortened(format!("{}\n\n{}", mark.text, said.text), outlet.platform),
            html: mark.html.zip(said.html).map(|(mark, said)| format!("{mark}\n{said}")),
            picture: None,
            mentions: said.mentions,
            buttons: Vec::new(),
        }))
    }
}

/// Of a post that no longer holds, the end is left out where the mark makes it longer than the platform takes.
fn shortened(text: String, platform: Platform) -> String {
    if platform != Platform::Discord || text.chars().count() <= DISCORD_LIMIT {
        return text;
    }
    let head: String = text.chars().take(DISCORD_LIMIT - 2).collect();
    format!("{}\n…", head.rsplit_once('\n').map_or(head.as_str(), |(lines, _)| lines))
}

/// The body of one operation of a notice.
pub fn body(
    core: &Core,
    book: &Arc<Book>,
    (accepted, notice): (&Accepting, &Notice),
    operation: Operation,
    outlet: &Outlet,
    moment: &context::Moment<'_>,
    now: Timestamp,
) -> Result<Body, String> {
    let picture = || context::pictured(&accepted.progress).map(|times| picture::block_times(&times));
    let template = match operation {
        Operation::Post | Operation::Edit => notice.template.as_str(),
        Operation::Thread => THREAD_TEMPLATE,
        Operation::Mark => MARK_TEMPLATE,
        Operation::Preview => PREVIEW_TEMPLATE,
        Operation::Picture => {
            let picture = picture().ok_or("there are no block times to draw")?;
            return Ok(Body { text: picture.alt.clone(), picture: Some(picture), ..Body::default() });
        }
    };
    let wanted = Wanted { accepted, notice, template, locale: &outlet.locale, moment };
    let mut body = core.press.body(book, wanted, outlet.platform, now)?;
    if matches!(operation, Operation::Post | Operation::Edit) {
        let named = moment.missing.iter().flat_map(|m| m.accounts.iter().cloned());
        mention::name(&mut body, outlet.platform, mention::whom(notice, &outlet.mentions).into_iter().chain(named).collect());
    }
    // Who is asked for an answer can give it by a press; an edit keeps what is there.
    if operation == Operation::Post && notice.acknowledge && outlet.platform == Platform::Discord && !book.config.roster.is_empty() {
        let words = book.config.languages.get(&outlet.locale).unwrap_or(Language::english());
        let button = |word: &'static str, verb: Verb| Button {
            label: words.word(word).to_owned(),
            line: format!("{} upgrade={}", verb.name(), accepted.upgrade.id),
        };
        body.buttons = vec![button("button_seen", Verb::Ack), button("button_ready", Verb::Ready)];
    }
    if operation == Operation::Post && notice.picture && outlet.platform == Platform::Discord {
        body.picture = picture();
    }
    Ok(body)
}

/// The line on top of a post that no longer holds.
pub const MARK_TEMPLATE: &str = "scheduling/mark";

/// What stands above a notice that is to be approved.
pub const PREVIEW_TEMPLATE: &str = "operations/approval";

/// The opening message of a feedback thread.
pub const THREAD_TEMPLATE: &str = "validation/feedback-thread";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_pushes_the_end_out_and_not_the_beginning() {
        let said = "x".repeat(99);
        let text = format!("> mark\n\n{}", vec![said.as_str(); 20].join("\n"));
        let cut = shortened(text.clone(), Platform::Discord);
        assert!(cut.starts_with("> mark\n\n") && cut.ends_with("x\n…") && cut.chars().count() <= 2_000);
        assert_eq!(shortened(text.clone(), Platform::Matrix), text);
        assert_eq!(shortened(said.clone(), Platform::Discord), said);
    }
}
