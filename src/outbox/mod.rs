//! The use cases. Each service is a reconciler: a `tick` without input does what the store and the
//! outside say is to be done, and may be called at any time, any number of times.

use crate::ports::Outlet;
use crate::words::limits::MAX_DETAIL_CHARS;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::SignedDuration;
use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};

use crate::{
    config::Delivery,
    domain::{
        campaign::Campaign,
        chain::{block::Kin, fact::Fact},
        outbox::post::{Operation, Post, PostKey, PostState, cut},
        plan::notice::{Happening, Notice, Trigger},
    },
    ports::{Batch, Clock, Move, Platform, Readers, Store, StoreError, lease},
    words::{ballot, context, snapshot::ConfigSnapshot},
};

/// What the services share.
pub struct Core {
    snapshot: RwLock<Arc<ConfigSnapshot>>,
    pub delivery: Delivery,
    pub outlets: BTreeMap<String, Outlet>,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    /// Held while an upgrade's progress is read, changed and written.
    pub ledger: Mutex<()>,
    /// How long this process may act.
    pub lease: Arc<lease::Lease>,
    /// Rung when posts may have become due.
    pub posts: Notify,
    /// The relays and parachains next to each chain.
    pub kin: BTreeMap<String, Kin>,
    /// What was noted last of parts whose trouble is looked at again and again.
    noted: Mutex<BTreeMap<String, String>>,
    /// Parts of which the store is known to hold no trouble: each post that goes well would say so again.
    well: parking_lot::Mutex<BTreeSet<String>>,
}

/// A post that is kept up to date is edited no more often than this.
const EDIT_PAUSE: SignedDuration = SignedDuration::from_secs(30);

impl Core {
    pub fn new(
        snapshot: ConfigSnapshot,
        outlets: BTreeMap<String, Outlet>,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
    ) -> Self {
        let deployment = &snapshot.config.deployment;
        Self {
            delivery: deployment.delivery,
            outlets,
            clock,
            store,
            ledger: Mutex::new(()),
            lease: Arc::default(),
            posts: Notify::new(),
            kin: deployment
                .chains
                .keys()
                .map(|name| (name.clone(), deployment.kin(name)))
                .collect(),
            snapshot: RwLock::new(Arc::new(snapshot)),
            noted: Mutex::new(BTreeMap::new()),
            well: parking_lot::Mutex::default(),
        }
    }

    /// The files as they are in force now. Whoever works through several steps keeps one.
    pub fn snapshot(&self) -> Arc<ConfigSnapshot> {
        self.snapshot.read().clone()
    }

    /// Puts other files in force.
    pub fn open(&self, snapshot: ConfigSnapshot) {
        *self.snapshot.write() = Arc::new(snapshot);
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
        let snapshot = self.snapshot();
        let plan = snapshot.plan();
        let revision = if happening == Happening::Rescheduled {
            campaign.revision
        } else {
            0
        };
        let notices = plan
            .notices(campaign.upgrade.urgency)
            .iter()
            .enumerate()
            .filter(|(_, notice)| notice.trigger == Trigger::On(happening));
        let mut posts = Vec::new();
        for (index, notice) in notices {
            let due = now.checked_add(notice.delay).unwrap_or(now);
            let mut made = posts_of(
                &campaign.upgrade.id,
                revision,
                notice,
                index,
                occurrence,
                due,
                fact,
            );
            let pictured = notice.picture && context::pictured(&campaign.progress).is_some();
            let voted =
                happening == Happening::WindowProposed && ballot::has_words(&snapshot.config);
            let apart = [(pictured, Operation::Picture), (voted, Operation::Poll)];
            for (_, operation) in apart.into_iter().filter(|(is, _)| *is) {
                let on = made.iter().filter(|p| {
                    p.operation == Operation::Post && self.outlets.contains_key(&p.channel)
                });
                let beside: Vec<Post> = on.map(|p| p.beside(operation, 0)).collect();
                made.extend(beside);
            }
            posts.append(&mut made);
        }
        posts.retain(|p| self.is_possible(p));
        // Of what nobody has announced, the plan says who may hear.
        if campaign.upgrade.unplanned && plan.unplanned == Readers::Operators {
            posts.retain(|p| {
                self.outlets
                    .get(&p.channel)
                    .is_some_and(|o| o.readers == Readers::Operators)
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

    /// A channel by its name: one of the files', or the private one of a platform, whose place is each reader's own.
    pub fn outlet(&self, channel: &str) -> Option<Outlet> {
        let private = || {
            let mut all = Platform::ALL.into_iter();
            let platform = all.find(|p| p.private_channel().as_deref() == Some(channel))?;
            let beside = self.outlets.values().find(|o| o.platform == platform)?;
            Some(Outlet {
                place: String::new(),
                readers: Readers::Public,
                mentions: BTreeMap::new(),
                ..beside.clone()
            })
        };
        self.outlets.get(channel).cloned().or_else(private)
    }

    /// Every channel that posts may wait for.
    pub fn channels(&self) -> Vec<String> {
        let private = Platform::ALL
            .into_iter()
            .filter(|platform| self.outlets.values().any(|o| o.platform == *platform))
            .filter_map(Platform::private_channel);
        self.outlets.keys().cloned().chain(private).collect()
    }

    /// A line on top of a post that is out; `why` is what no longer holds, or a correction.
    pub fn mark(&self, root: &Post, posts: &[Post], why: &str) -> Post {
        let same = |p: &&Post| {
            p.operation == Operation::Mark
                && p.notice == root.notice
                && p.occurrence == root.occurrence
                && p.channel == root.channel
        };
        let edition = posts
            .iter()
            .filter(same)
            .filter(|p| p.revision == root.revision)
            .map(|p| p.edition)
            .max()
            .unwrap_or(0)
            + 1;
        Post {
            due: self.clock.now(),
            detail: Some(why.to_owned()),
            ..root.beside(Operation::Mark, edition)
        }
    }

    /// Whether the platform of its channel has what a post would do; what it hasn't is not planned.
    pub fn is_possible(&self, post: &Post) -> bool {
        self.outlets
            .get(&post.channel)
            .is_none_or(|o| o.platform.capabilities().allows(post.operation))
    }

    /// New words for the posts that are kept up to date; newer ones take the place of those that still wait.
    pub fn edits(&self, batch: &mut Batch, campaign: &Campaign, posts: &[Post]) {
        let snapshot = self.snapshot();
        let notice = |p: &Post| snapshot.plan().notice(campaign.upgrade.urgency, &p.notice);
        let out = |p: &&Post| {
            p.operation == Operation::Post
                && matches!(
                    p.state,
                    PostState::Sent | PostState::Sending | PostState::Planned
                )
        };
        for (root, notice) in posts
            .iter()
            .filter(out)
            .filter_map(|p| Some((p, notice(p)?)))
            .filter(|(_, n)| n.live)
        {
            self.renew(batch, root, Operation::Edit, posts);
            if notice.calendar.as_ref() == Some(&root.channel) {
                self.renew(batch, root, Operation::Event, posts);
            }
        }
        batch.posts.extend(self.unpinned(campaign, posts));
        batch.posts.extend(self.closed(campaign, posts));
    }

    /// Votes that are counted, or on what is no longer proposed, take no more.
    fn closed(&self, campaign: &Campaign, posts: &[Post]) -> Vec<Post> {
        let open = |p: &&Post| {
            p.operation == Operation::Poll
                && p.state == PostState::Sent
                && !ballot::is_open(campaign, p)
        };
        let close = |p: &Post| Post {
            due: self.clock.now(),
            ..p.beside(Operation::Close, 0)
        };
        posts
            .iter()
            .filter(open)
            .map(close)
            .filter(|close| !posts.iter().any(|p| p.key == close.key))
            .collect()
    }

    /// Boards of an upgrade that is over make room for the next one's.
    pub fn unpinned(&self, campaign: &Campaign, posts: &[Post]) -> Vec<Post> {
        let pinned = |p: &&Post| p.operation == Operation::Pin && p.state == PostState::Sent;
        let unpin = |p: &Post| Post {
            due: self.clock.now(),
            ..p.beside(Operation::Unpin, 0)
        };
        let pinned = posts
            .iter()
            .filter(|_| campaign.progress.finished())
            .filter(pinned);
        pinned
            .map(unpin)
            .filter(|unpin| !posts.iter().any(|p| p.key == unpin.key))
            .collect()
    }

    /// The next edition of what is kept up to date, a while after the last.
    fn renew(&self, batch: &mut Batch, root: &Post, operation: Operation, posts: &[Post]) {
        let now = self.clock.now();
        let same = |p: &&Post| {
            p.operation == operation
                && p.occurrence == root.occurrence
                && p.notice == root.notice
                && p.channel == root.channel
                && p.revision == root.revision
        };
        let editions: Vec<&Post> = posts.iter().filter(same).collect();
        let waiting = editions.iter().filter(|p| p.state == PostState::Planned);
        batch
            .moves
            .extend(waiting.map(|p| (p.key.clone(), Move::Supersede)));
        let edition = editions.iter().map(|p| p.edition).max().unwrap_or(0) + 1;
        let next = root.beside(operation, edition);
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

    /// Notes what is wrong with a part, if that is another thing than was noted before.
    pub async fn note_change(&self, part: &str, trouble: Option<String>) {
        let mut noted = self.noted.lock().await;
        if noted.get(part) == trouble.as_ref() {
            return;
        }
        match &trouble {
            Some(trouble) => noted.insert(part.to_owned(), trouble.clone()),
            None => noted.remove(part),
        };
        self.note_trouble(part, trouble.as_deref()).await;
    }

    pub async fn campaign(&self, id: &str) -> Result<Option<Campaign>, StoreError> {
        self.store.campaign(id).await
    }

    /// Keeps what is wrong with a part where `herald status` can see it.
    pub async fn note_trouble(&self, part: &str, trouble: Option<&str>) {
        let well = || self.well.lock();
        match trouble {
            None if well().contains(part) => return,
            None => {}
            Some(trouble) => {
                well().remove(part);
                tracing::warn!(part, "{trouble}");
            }
        }
        match self
            .store
            .set_trouble(part, trouble, self.clock.now())
            .await
        {
            Ok(()) if trouble.is_none() => {
                well().insert(part.to_owned());
            }
            Ok(()) => {}
            Err(error) => tracing::error!("{error}"),
        }
    }
}

/// One post for each channel of a notice; a thread behind each where feedback is asked for.
pub fn posts_of(
    upgrade: &str,
    revision: u32,
    notice: &Notice,
    index: usize,
    occurrence: &str,
    due: jiff::Timestamp,
    fact: Option<&Fact>,
) -> Vec<Post> {
    let rank = i64::try_from(index).unwrap_or(0) * 10;
    let mut posts = Vec::new();
    for channel in &notice.channels {
        let post = Post {
            key: PostKey::of(
                upgrade,
                revision,
                &notice.id,
                occurrence,
                channel,
                Operation::Post,
            ),
            upgrade: upgrade.to_owned(),
            revision,
            notice: notice.id.clone(),
            occurrence: occurrence.to_owned(),
            channel: channel.clone(),
            operation: Operation::Post,
            due,
            rank,
            state: PostState::Planned,
            late: false,
            body: None,
            fact: fact.cloned(),
            detail: None,
            attempts: 0,
            next_attempt: None,
            remote: None,
            link: None,
            sent: None,
            error: None,
            edition: 0,
        };
        let beside = [
            (notice.feedback, Operation::Thread),
            (notice.published.contains(channel), Operation::Publish),
            (notice.board, Operation::Pin),
            (notice.calendar.as_ref() == Some(channel), Operation::Event),
        ];
        let beside: Vec<Post> = beside
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, operation)| post.beside(operation, 0))
            .collect();
        posts.push(post);
        posts.extend(beside);
    }
    posts
}
