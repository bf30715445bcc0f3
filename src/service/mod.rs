//! The use cases. Each service is a reconciler: a `tick` without input does what the store and the
//! outside say is to be done, and may be called at any time, any number of times.

pub mod catchup;
pub mod context;
pub mod desk;
pub mod dispatcher;
pub mod planner;
pub mod review;
pub mod summariser;
pub mod supervisor;
pub mod watcher;

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Mutex, Notify};

use crate::{
    config::{Delivery, Plan},
    domain::{
        fact::Fact,
        notice::{Happening, Notice, Trigger},
        post::{Operation, Post, PostKey, PostState},
    },
    ports::{Accepting, Chat, Clock, Platform, Store, StoreError},
    template::Renderer,
};

/// A channel with the connection that reaches it.
#[derive(Clone)]
pub struct Outlet {
    pub platform: Platform,
    pub chat: Arc<dyn Chat>,
    /// The platform's id of the channel or room.
    pub place: String,
}

/// What the services share.
pub struct Core {
    pub plan: Plan,
    pub delivery: Delivery,
    pub outlets: BTreeMap<String, Outlet>,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub renderer: Arc<Renderer>,
    /// Held while an upgrade's progress is read, changed and written.
    pub ledger: Mutex<()>,
    /// Rung when posts may have become due.
    pub posts: Notify,
}

impl Core {
    /// The posts of a thing that has happened, due now, for each notice that waits for it.
    pub fn posts_on(&self, accepted: &Accepting, happening: Happening, occurrence: &str, fact: Option<&Fact>) -> Vec<Post> {
        let now = self.clock.now();
        let revision = if happening == Happening::Rescheduled { accepted.revision } else { 0 };
        let notices = self.plan.notices.iter().enumerate();
        notices
            .filter(|(_, notice)| notice.trigger == Trigger::On(happening))
            .flat_map(|(index, notice)| posts_of(&accepted.upgrade.id, revision, notice, index, occurrence, now, fact))
            .collect()
    }

    pub async fn accepted(&self, id: &str) -> Result<Option<Accepting>, StoreError> {
        Ok(self.store.upgrades().await?.into_iter().find(|a| a.upgrade.id == id))
    }

    /// Keeps what is wrong with a part where `herald status` can see it.
    pub async fn note_trouble(&self, part: &str, trouble: Option<&str>) {
        if let Some(trouble) = trouble {
            tracing::warn!(part, "{trouble}");
        }
        if let Err(error) = self.store.set_trouble(part, trouble, self.clock.now()).await {
            tracing::error!("{error}");
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
        let operations: &[Operation] = if notice.feedback { &[Operation::Post, Operation::Thread] } else { &[Operation::Post] };
        for (step, operation) in (0..).zip(operations) {
            posts.push(Post {
                key: PostKey::of(upgrade, revision, &notice.id, occurrence, channel, *operation),
                upgrade: upgrade.to_owned(),
                revision,
                notice: notice.id.clone(),
                occurrence: occurrence.to_owned(),
                channel: channel.clone(),
                operation: *operation,
                due,
                rank: rank + step,
                state: PostState::Planned,
                late: false,
                body: None,
                fact: fact.cloned(),
                attempts: 0,
                next_attempt: None,
                remote: None,
                link: None,
                sent: None,
                error: None,
            });
        }
    }
    posts
}
