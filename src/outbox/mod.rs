//! The outbox: what is announced becomes rows here, and everybody who writes rows does it in one transaction.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Notify;

use crate::{
    config::Delivery,
    domain::{campaign::Campaign, chain::block::Kin},
    ports::{Clock, Outlet, Store, StoreError, lease},
    words::snapshot::ConfigSnapshot,
};

mod announcement;
pub(crate) mod destination;
mod files;
pub(crate) mod outlets;
mod rows;
mod troubles;

pub use announcement::Announcement;
pub use files::Files;
pub use rows::Outbox;
pub use troubles::Troubles;

/// The parts that all services share. Each service is a reconciler: a `tick` without input does what the store and the
/// outside say is to be done, and may be called at any time, any number of times.
pub struct Core {
    pub files: Arc<Files>,
    pub delivery: Delivery,
    /// The channels of the files by name, each with the connection that reaches it.
    pub outlets: BTreeMap<String, Outlet>,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub outbox: Outbox,
    pub troubles: Troubles,
    /// The time for which this process may act.
    pub lease: Arc<lease::Lease>,
    /// Rung when somebody has written a request down in this process.
    pub requests: Notify,
    /// Rung when requests were answered.
    pub answered: Notify,
    /// The relays and parachains next to each chain.
    pub kin: BTreeMap<String, Kin>,
}

impl Core {
    pub fn new(
        snapshot: ConfigSnapshot,
        outlets: BTreeMap<String, Outlet>,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
    ) -> Self {
        let deployment = &snapshot.config.deployment;
        let kin = deployment
            .chains
            .keys()
            .map(|name| (name.clone(), deployment.kin(name)))
            .collect();
        let delivery = deployment.delivery;
        let files = Arc::new(Files::new(snapshot));
        Self {
            outbox: Outbox::new(files.clone(), clock.clone(), store.clone()),
            troubles: Troubles::new(clock.clone(), store.clone()),
            files,
            delivery,
            outlets,
            clock,
            store,
            lease: Arc::default(),
            requests: Notify::new(),
            answered: Notify::new(),
            kin,
        }
    }

    /// The files as they are in force now. Whoever works through several steps keeps one.
    pub fn snapshot(&self) -> Arc<ConfigSnapshot> {
        self.files.in_force()
    }

    pub async fn campaign(&self, id: &str) -> Result<Option<Campaign>, StoreError> {
        self.store.campaign(id).await
    }
}
