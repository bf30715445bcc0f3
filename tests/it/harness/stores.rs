//! Stores for tests: one in memory, and one with a hook between it and herald.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    domain::{
        campaign::{Campaign, change::Change},
        chain::{fact::Fact, fact_kind::FactKind, memory::Memory},
        outbox::{Body, Operation, Post, PostKey, PostState},
        people::reply::Outcome,
    },
    ports::{
        Approved, AttemptOutcome, Batch, CampaignStore, Leadership, LeadershipStore, Move,
        OutboxStore, Record, RecordKind, RecordStore, Replica, ReplicaInfo, Request, RequestStore,
        Store, StoreError,
    },
};

use crate::harness::hooks::{Call, Hook, through};

#[derive(Clone)]
struct Row {
    post: Post,
    lease_until: Option<Timestamp>,
    /// When its last attempt began.
    began: Option<Timestamp>,
    first: Option<Timestamp>,
}

#[derive(Default)]
struct Tables {
    upgrades: Vec<Campaign>,
    memories: BTreeMap<String, Memory>,
    facts: Vec<Fact>,
    posts: Vec<Row>,
    requests: Vec<(Request, Option<Outcome>)>,
    approvals: Vec<Approved>,
    entries: Vec<Record>,
    remembered: BTreeSet<String>,
    troubles: BTreeMap<String, (String, Timestamp)>,
}

/// A store in memory for simulations: no file, no thread, so that a seed alone says what happens. It keeps the same promises
/// as the real ones (`delivery/stores.rs` asks it the same questions) and is the world's to keep when a herald dies.
#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

fn waits(state: PostState) -> bool {
    matches!(state, PostState::Planned | PostState::Held)
}

impl Tables {
    fn row(&mut self, key: &PostKey) -> Option<&mut Row> {
        self.posts.iter_mut().find(|row| row.post.key == *key)
    }

    /// Of these rows, by due time; rows of one time stay as they were written.
    fn posts(&self, wanted: impl Fn(&Post) -> bool) -> Vec<Post> {
        let mut posts: Vec<Post> = self
            .posts
            .iter()
            .map(|row| &row.post)
            .filter(|p| wanted(p))
            .cloned()
            .collect();
        posts.sort_by(|a, b| (a.due, a.rank, &a.channel).cmp(&(b.due, b.rank, &b.channel)));
        posts
    }

    /// The first of a channel that is neither done nor given up.
    fn first(&self, channel: &str) -> Option<&Row> {
        let open = |row: &&Row| {
            row.post.channel == channel
                && matches!(row.post.state, PostState::Planned | PostState::Sending)
        };
        self.posts
            .iter()
            .filter(open)
            .min_by_key(|row| (row.post.due, row.post.rank))
    }

    fn write(&mut self, batch: Batch) {
        for campaign in batch.upgrades {
            match self
                .upgrades
                .iter_mut()
                .find(|a| a.upgrade.id == campaign.upgrade.id)
            {
                Some(old) => {
                    *old = Campaign {
                        accepted: old.accepted,
                        ..campaign
                    }
                }
                None => self.upgrades.push(campaign),
            }
        }
        self.memories.extend(batch.memories);
        for fact in batch.facts {
            let same = |f: &Fact| {
                (&f.chain, f.block, &f.payload) == (&fact.chain, fact.block, &fact.payload)
            };
            if !self.facts.iter().any(same) {
                self.facts.push(fact);
            }
        }
        for (key, step) in batch.moves {
            let Some(post) = self
                .row(&key)
                .map(|row| &mut row.post)
                .filter(|p| waits(p.state))
            else {
                continue;
            };
            match step {
                Move::Due(due) => post.due = due,
                Move::Supersede => post.state = PostState::Superseded,
                Move::Hold(reason) => (post.state, post.error) = (PostState::Held, Some(reason)),
                Move::Release if post.state == PostState::Held => {
                    (post.state, post.error) = (PostState::Planned, None)
                }
                Move::Release => {}
                Move::Expire(reason) => {
                    (post.state, post.error) = (PostState::Expired, Some(reason))
                }
            }
        }
        for (number, outcome) in batch.answered {
            self.requests
                .iter_mut()
                .filter(|(r, _)| r.number == number)
                .for_each(|(_, o)| *o = Some(outcome.clone()));
        }
        for given in batch.approvals {
            let same = |a: &Approved| {
                (&a.upgrade, &a.code, &a.person) == (&given.upgrade, &given.code, &given.person)
            };
            if !self.approvals.iter().any(same) {
                self.approvals.push(given);
            }
        }
        for old in batch.supersede {
            let stale = |p: &Post| {
                p.upgrade == old.upgrade
                    && p.revision > 0
                    && p.revision < old.below
                    && p.due <= old.due_by
            };
            for row in self
                .posts
                .iter_mut()
                .filter(|row| waits(row.post.state) && stale(&row.post))
            {
                row.post.state = PostState::Superseded;
            }
        }
        for post in batch.posts {
            if self.row(&post.key).is_none() {
                self.posts.push(Row {
                    post,
                    lease_until: None,
                    began: None,
                    first: None,
                });
            }
        }
    }
}

impl MemoryStore {
    /// One call: it may die before it or after it, not within.
    async fn call<T>(
        &self,
        work: impl FnOnce(&mut MutexGuard<'_, Tables>) -> T,
    ) -> Result<T, StoreError> {
        tokio::task::yield_now().await;
        let done = work(&mut self.0.lock().expect("nobody panics with it"));
        tokio::task::yield_now().await;
        Ok(done)
    }
}

#[async_trait]
impl CampaignStore for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.call(|t| {
            // Nothing of a batch counts that answers what has another outcome by now.
            let is_stale = |(number, outcome): &(i64, Outcome)| {
                let mut requests = t.requests.iter();
                let answered = requests.find(|(request, _)| request.number == *number);
                answered.is_none_or(|(_, there)| there.as_ref().is_some_and(|o| o != outcome))
            };
            if batch.answered.iter().any(is_stale) {
                return Err(StoreError::invalid("a change", "it is answered already"));
            }
            t.write(batch);
            Ok(())
        })
        .await?
    }

    async fn upgrades(&self) -> Result<Vec<Campaign>, StoreError> {
        self.call(|t| {
            let mut all = t.upgrades.clone();
            all.sort_by(|a, b| (a.accepted, &a.upgrade.id).cmp(&(b.accepted, &b.upgrade.id)));
            all
        })
        .await
    }

    async fn campaign(&self, id: &str) -> Result<Option<Campaign>, StoreError> {
        self.call(|t| t.upgrades.iter().find(|c| c.upgrade.id == id).cloned())
            .await
    }

    async fn memories(&self) -> Result<BTreeMap<String, Memory>, StoreError> {
        self.call(|t| t.memories.clone()).await
    }

    async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        self.call(|t| t.facts.clone()).await
    }

    async fn facts_of(&self, kind: FactKind) -> Result<Vec<Fact>, StoreError> {
        self.call(|t| {
            t.facts
                .iter()
                .filter(|f| f.kind() == kind)
                .cloned()
                .collect()
        })
        .await
    }

    async fn approvals(&self, upgrade: &str) -> Result<Vec<Approved>, StoreError> {
        self.call(|t| {
            t.approvals
                .iter()
                .filter(|a| a.upgrade == upgrade)
                .cloned()
                .collect()
        })
        .await
    }
}

#[async_trait]
impl OutboxStore for MemoryStore {
    async fn waiting(&self) -> Result<Vec<Post>, StoreError> {
        self.call(|t| t.posts(|p| waits(p.state))).await
    }

    async fn posts(&self, upgrade: &str) -> Result<Vec<Post>, StoreError> {
        self.call(|t| t.posts(|p| p.upgrade == upgrade)).await
    }

    async fn post(&self, key: &PostKey) -> Result<Option<Post>, StoreError> {
        self.call(|t| t.row(key).map(|row| row.post.clone())).await
    }

    async fn sent(
        &self,
        upgrade: &str,
        channel: &str,
        operation: Operation,
    ) -> Result<Option<Post>, StoreError> {
        let wanted = |p: &&Post| {
            p.upgrade == upgrade
                && p.channel == channel
                && p.operation == operation
                && p.state == PostState::Sent
        };
        self.call(|t| {
            t.posts
                .iter()
                .map(|row| &row.post)
                .filter(wanted)
                .max_by_key(|p| p.due)
                .cloned()
        })
        .await
    }

    async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Post>, StoreError> {
        self.call(|t| {
            let row = t.first(channel)?;
            let leased = row.post.state == PostState::Sending
                && row.lease_until.is_some_and(|until| until > now);
            let held = leased || row.post.next_attempt.is_some_and(|at| at > now);
            let ahead = row
                .began
                .is_some_and(|began| began > now + SignedDuration::from_secs(60));
            (row.post.due <= now && (ahead || !held)).then(|| row.post.clone())
        })
        .await
    }

    async fn next_time(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        self.call(|t| {
            let row = t.first(channel)?;
            [Some(row.post.due), row.post.next_attempt, row.lease_until]
                .into_iter()
                .flatten()
                .max()
        })
        .await
    }

    async fn begin(
        &self,
        post: &Post,
        body: &Body,
        late: bool,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(|t| {
            let Some(row) = t.row(&post.key) else {
                return false;
            };
            let open = matches!(row.post.state, PostState::Planned | PostState::Sending);
            if !open || row.post.attempts != post.attempts {
                return false;
            }
            let known = &mut row.post;
            known.body.get_or_insert_with(|| body.clone());
            (known.state, known.late, known.next_attempt) = (PostState::Sending, late, None);
            known.attempts += 1;
            (row.lease_until, row.began) = (Some(lease_until), Some(now));
            row.first = row.first.map_or(Some(now), |first| Some(first.min(now)));
            true
        })
        .await
    }

    async fn finish(&self, key: &PostKey, outcome: &AttemptOutcome) -> Result<(), StoreError> {
        self.call(|t| {
            let Some(row) = t.row(key) else { return };
            row.lease_until = None;
            let post = &mut row.post;
            match outcome.clone() {
                AttemptOutcome::Sent { accepted, at } => {
                    (post.state, post.error) = (PostState::Sent, None);
                    (post.remote, post.link, post.sent) =
                        (Some(accepted.id), accepted.link, Some(at));
                }
                AttemptOutcome::Retry {
                    error,
                    not_before,
                    aside,
                } => {
                    (post.error, post.next_attempt) = (Some(error), Some(not_before));
                    post.due = if aside { not_before } else { post.due };
                }
                AttemptOutcome::Parked { error } => {
                    (post.state, post.error) = (PostState::Parked, Some(error))
                }
                AttemptOutcome::Unsaid { reason } => {
                    (post.state, post.body, post.late) = (PostState::Planned, None, false);
                    (post.error, post.next_attempt) = (Some(reason), None);
                }
                AttemptOutcome::Dropped { reason } => {
                    (post.state, post.error) = (PostState::Superseded, Some(reason))
                }
                AttemptOutcome::Skipped { reason } => {
                    (post.state, post.error) = (PostState::Skipped, Some(reason))
                }
            }
        })
        .await
    }

    async fn first_attempt(&self, key: &PostKey) -> Result<Option<Timestamp>, StoreError> {
        self.call(|t| t.row(key).and_then(|row| row.first)).await
    }

    async fn begin_anew(&self) -> Result<(), StoreError> {
        self.call(|t| {
            t.troubles.clear();
            for post in t
                .posts
                .iter_mut()
                .map(|row| &mut row.post)
                .filter(|p| p.state == PostState::Parked)
            {
                post.state = if post.body.is_some() {
                    PostState::Sending
                } else {
                    PostState::Planned
                };
                post.next_attempt = None;
            }
        })
        .await
    }
}

#[async_trait]
impl RequestStore for MemoryStore {
    async fn request(
        &self,
        upgrade: &str,
        change: &Change,
        author: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        self.call(|t| {
            let number = t.requests.len() as i64 + 1;
            let (upgrade, change, author) = (upgrade.to_owned(), change.clone(), author.to_owned());
            t.requests.push((
                Request {
                    number,
                    upgrade,
                    change,
                    author,
                    at,
                },
                None,
            ));
            number
        })
        .await
    }

    async fn requests(&self) -> Result<Vec<Request>, StoreError> {
        self.call(|t| {
            t.requests
                .iter()
                .filter(|(_, outcome)| outcome.is_none())
                .map(|(r, _)| r.clone())
                .collect()
        })
        .await
    }

    async fn outcome(&self, request: i64) -> Result<Option<Outcome>, StoreError> {
        self.call(|t| {
            t.requests
                .iter()
                .find(|(r, _)| r.number == request)
                .and_then(|(_, outcome)| outcome.clone())
        })
        .await
    }

    async fn discard(&self, request: i64, outcome: &Outcome) -> Result<bool, StoreError> {
        self.call(|t| {
            let open = |(r, there): &&mut (Request, Option<Outcome>)| {
                r.number == request && there.is_none()
            };
            let found = t.requests.iter_mut().find(open);
            found
                .map(|(_, there)| *there = Some(outcome.clone()))
                .is_some()
        })
        .await
    }

    async fn remember(&self, id: &str, _: Timestamp) -> Result<bool, StoreError> {
        self.call(|t| t.remembered.insert(id.to_owned())).await
    }
}

#[async_trait]
impl RecordStore for MemoryStore {
    async fn write(&self, entry: &Record, replace: bool) -> Result<bool, StoreError> {
        self.call(|t| {
            match t
                .entries
                .iter_mut()
                .find(|e| (e.kind, &e.upgrade, &e.id) == (entry.kind, &entry.upgrade, &entry.id))
            {
                Some(old) => {
                    if replace {
                        *old = entry.clone();
                    }
                    replace
                }
                None => {
                    t.entries.push(entry.clone());
                    true
                }
            }
        })
        .await
    }

    async fn erase(&self, kind: RecordKind, upgrade: &str, id: &str) -> Result<bool, StoreError> {
        self.call(|t| {
            let before = t.entries.len();
            t.entries
                .retain(|e| (e.kind, e.upgrade.as_str(), e.id.as_str()) != (kind, upgrade, id));
            t.entries.len() < before
        })
        .await
    }

    async fn entries(&self, kind: RecordKind, upgrade: &str) -> Result<Vec<Record>, StoreError> {
        self.call(|t| {
            let mut all: Vec<Record> = t
                .entries
                .iter()
                .filter(|e| e.kind == kind && e.upgrade == upgrade)
                .cloned()
                .collect();
            all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
            all
        })
        .await
    }

    async fn set_trouble(
        &self,
        part: &str,
        trouble: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(|t| {
            let Some(trouble) = trouble else {
                return drop(t.troubles.remove(part));
            };
            let since = t.troubles.get(part).map_or(at, |(_, since)| *since);
            t.troubles
                .insert(part.to_owned(), (trouble.to_owned(), since));
        })
        .await
    }

    async fn troubles(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
        self.call(|t| {
            t.troubles
                .iter()
                .map(|(part, (trouble, since))| (part.clone(), trouble.clone(), *since))
                .collect()
        })
        .await
    }
}

#[async_trait]
impl LeadershipStore for MemoryStore {
    async fn present(&self, _: &Replica, _: SignedDuration) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn lead(&self, _: &Replica, _: SignedDuration) -> Result<Leadership, StoreError> {
        Ok(Leadership::Mine { term: 1 })
    }

    async fn resign(&self, _: &Replica) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError> {
        Ok(Vec::new())
    }
}

/// A store with something between it and herald.
pub struct HookedStore {
    pub inner: Arc<dyn Store>,
    pub hook: Arc<dyn Hook<StoreError>>,
}

macro_rules! store {
    ($self:ident, $name:literal, $($call:tt)*) => {
        through(&*$self.hook, Call::named($name), $self.inner.$($call)*).await
    };
}

#[async_trait]
impl CampaignStore for HookedStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let written = batch.clone();
        through(
            &*self.hook,
            Call {
                batch: Some(&written),
                ..Call::named("commit")
            },
            self.inner.commit(batch),
        )
        .await
    }
    async fn upgrades(&self) -> Result<Vec<Campaign>, StoreError> {
        store!(self, "upgrades", upgrades())
    }
    async fn campaign(&self, id: &str) -> Result<Option<Campaign>, StoreError> {
        store!(self, "campaign", campaign(id))
    }
    async fn memories(&self) -> Result<BTreeMap<String, Memory>, StoreError> {
        store!(self, "memories", memories())
    }
    async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        store!(self, "facts", facts())
    }
    async fn facts_of(&self, kind: FactKind) -> Result<Vec<Fact>, StoreError> {
        store!(self, "facts_of", facts_of(kind))
    }
    async fn approvals(&self, upgrade: &str) -> Result<Vec<Approved>, StoreError> {
        store!(self, "approvals", approvals(upgrade))
    }
}

#[async_trait]
impl OutboxStore for HookedStore {
    async fn waiting(&self) -> Result<Vec<Post>, StoreError> {
        store!(self, "waiting", waiting())
    }
    async fn posts(&self, upgrade: &str) -> Result<Vec<Post>, StoreError> {
        store!(self, "posts", posts(upgrade))
    }
    async fn post(&self, key: &PostKey) -> Result<Option<Post>, StoreError> {
        store!(self, "post", post(key))
    }
    async fn sent(
        &self,
        upgrade: &str,
        channel: &str,
        operation: Operation,
    ) -> Result<Option<Post>, StoreError> {
        store!(self, "sent", sent(upgrade, channel, operation))
    }
    async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Post>, StoreError> {
        store!(self, "next_due", next_due(channel, now))
    }
    async fn next_time(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        store!(self, "next_time", next_time(channel))
    }
    async fn begin(
        &self,
        post: &Post,
        body: &Body,
        late: bool,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError> {
        store!(self, "begin", begin(post, body, late, now, lease_until))
    }
    async fn finish(&self, key: &PostKey, outcome: &AttemptOutcome) -> Result<(), StoreError> {
        store!(self, "finish", finish(key, outcome))
    }
    async fn first_attempt(&self, key: &PostKey) -> Result<Option<Timestamp>, StoreError> {
        store!(self, "first_attempt", first_attempt(key))
    }
    async fn begin_anew(&self) -> Result<(), StoreError> {
        store!(self, "begin_anew", begin_anew())
    }
}

#[async_trait]
impl RequestStore for HookedStore {
    async fn request(
        &self,
        upgrade: &str,
        change: &Change,
        author: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        store!(self, "request", request(upgrade, change, author, at))
    }
    async fn requests(&self) -> Result<Vec<Request>, StoreError> {
        store!(self, "requests", requests())
    }
    async fn outcome(&self, request: i64) -> Result<Option<Outcome>, StoreError> {
        store!(self, "outcome", outcome(request))
    }
    async fn discard(&self, request: i64, outcome: &Outcome) -> Result<bool, StoreError> {
        store!(self, "discard", discard(request, outcome))
    }
    async fn remember(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        store!(self, "remember", remember(id, at))
    }
}

#[async_trait]
impl RecordStore for HookedStore {
    async fn write(&self, entry: &Record, replace: bool) -> Result<bool, StoreError> {
        store!(self, "write", write(entry, replace))
    }
    async fn erase(&self, kind: RecordKind, upgrade: &str, id: &str) -> Result<bool, StoreError> {
        store!(self, "erase", erase(kind, upgrade, id))
    }
    async fn entries(&self, kind: RecordKind, upgrade: &str) -> Result<Vec<Record>, StoreError> {
        store!(self, "entries", entries(kind, upgrade))
    }
    async fn set_trouble(
        &self,
        part: &str,
        trouble: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        store!(self, "set_trouble", set_trouble(part, trouble, at))
    }
    async fn troubles(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
        store!(self, "troubles", troubles())
    }
}

#[async_trait]
impl LeadershipStore for HookedStore {
    async fn present(&self, me: &Replica, ttl: SignedDuration) -> Result<bool, StoreError> {
        store!(self, "present", present(me, ttl))
    }
    async fn lead(&self, me: &Replica, ttl: SignedDuration) -> Result<Leadership, StoreError> {
        store!(self, "lead", lead(me, ttl))
    }
    async fn resign(&self, me: &Replica) -> Result<(), StoreError> {
        store!(self, "resign", resign(me))
    }
    async fn check_writable(&self) -> Result<(), StoreError> {
        store!(self, "check_writable", check_writable())
    }
    async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError> {
        store!(self, "replicas", replicas())
    }
}
