//! Parts that are in trouble, kept where `herald status` can see them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::Mutex;

use crate::ports::{Clock, Store};

pub struct Troubles {
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    /// The last trouble of each part that is looked at again and again.
    last: Mutex<BTreeMap<String, String>>,
    /// Parts of which the store is known to hold no trouble: each post that goes well would say so again.
    well: parking_lot::Mutex<BTreeSet<String>>,
}

impl Troubles {
    pub(super) fn new(clock: Arc<dyn Clock>, store: Arc<dyn Store>) -> Self {
        Self {
            clock,
            store,
            last: Mutex::default(),
            well: parking_lot::Mutex::default(),
        }
    }

    /// Notes the trouble of a part, or that it is well.
    pub async fn note(&self, part: &str, trouble: Option<&str>) {
        let well = || self.well.lock();
        match trouble {
            None if well().contains(part) => return,
            None => {}
            Some(trouble) => {
                well().remove(part);
                tracing::warn!(part, "{trouble}");
            }
        }
        let now = self.clock.now();
        match self.store.set_trouble(part, trouble, now).await {
            Ok(()) if trouble.is_none() => {
                well().insert(part.to_owned());
            }
            Ok(()) => {}
            Err(error) => tracing::error!("{error}"),
        }
    }

    /// Notes the trouble of a part if it is another than was noted before.
    pub async fn note_change(&self, part: &str, trouble: Option<String>) {
        let mut last = self.last.lock().await;
        if last.get(part) == trouble.as_ref() {
            return;
        }
        match &trouble {
            Some(trouble) => last.insert(part.to_owned(), trouble.clone()),
            None => last.remove(part),
        };
        self.note(part, trouble.as_deref()).await;
    }
}
