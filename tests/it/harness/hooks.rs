//! A store and a chat with something between them and herald: a hook that lets a call through, refuses it, or does something
//! while it is under way.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    domain::{
        campaign::{Campaign, change::Change},
        chain::{fact::Fact, fact_kind::FactKind, memory::Memory},
        outbox::{Body, CalendarEvent, Operation, Post, PostKey},
        people::{feedback::Heard, reply::Outcome},
    },
    ports::{
        Accepted, Approved, AttemptOutcome, Batch, CampaignStore, Chat, ChatError, Handling,
        Leadership, LeadershipStore, OutboxStore, Outgoing, Record, RecordKind, RecordStore,
        Replica, ReplicaInfo, Request, RequestStore, Store, StoreError,
    },
};

/// A call as a hook sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub name: &'static str,
    /// What a store is to write.
    pub batch: Option<&'a Batch>,
}

#[async_trait]
pub trait Hook<E>: Send + Sync {
    async fn before(&self, _: &Call<'_>) -> Result<(), E> {
        Ok(())
    }

    /// Runs beside the call, and is given up with its end.
    async fn during(&self, _: &Call<'_>) {
        std::future::pending().await
    }

    async fn after(&self, _: &Call<'_>) -> Result<(), E> {
        Ok(())
    }
}

async fn through<T, E>(
    hook: &dyn Hook<E>,
    call: Call<'_>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    hook.before(&call).await?;
    let beside = async {
        hook.during(&call).await;
        std::future::pending::<()>().await
    };
    let done = tokio::select! {
        done = work => done?,
        () = beside => unreachable!("it waits for ever"),
    };
    hook.after(&call).await?;
    Ok(done)
}

pub struct HookedStore {
    pub inner: Arc<dyn Store>,
    pub hook: Arc<dyn Hook<StoreError>>,
}

macro_rules! store {
    ($self:ident, $name:literal, $($call:tt)*) => {
        through(&*$self.hook, Call { name: $name, batch: None }, $self.inner.$($call)*).await
    };
}

#[async_trait]
impl CampaignStore for HookedStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let written = batch.clone();
        through(
            &*self.hook,
            Call {
                name: "commit",
                batch: Some(&written),
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
    async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError> {
        store!(self, "replicas", replicas())
    }
}

pub struct HookedChat {
    pub inner: Arc<dyn Chat>,
    pub hook: Arc<dyn Hook<ChatError>>,
}

macro_rules! chat {
    ($self:ident, $name:literal, $($call:tt)*) => {
        through(&*$self.hook, Call { name: $name, batch: None }, $self.inner.$($call)*).await
    };
}

#[async_trait]
impl Chat for HookedChat {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        chat!(self, "send", send(place, out))
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
    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
