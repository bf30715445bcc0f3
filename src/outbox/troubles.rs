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
    /// The last trouble of each part that is looked at again and again, with the upgrade that it is of.
    last: Mutex<BTreeMap<String, (String, String)>>,
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

    /// Notes the trouble of a part that belongs to no upgrade, if it is another than was noted before.
    pub async fn note_change(&self, part: &str, trouble: Option<String>) {
        self.note_of("", part, trouble).await;
    }

    /// Notes the trouble of a part of an upgrade, if it is another than was noted before.
    pub async fn note_of(&self, upgrade: &str, part: &str, trouble: Option<String>) {
        let mut last = self.last.lock().await;
        if last.get(part).map(|(_, trouble)| trouble) == trouble.as_ref() {
            return;
        }
        self.note(part, trouble.as_deref()).await;
        match trouble {
            Some(trouble) => drop(last.insert(part.to_owned(), (upgrade.to_owned(), trouble))),
            None => drop(last.remove(part)),
        }
    }

    /// Ends the troubles that were of an upgrade which is over: there is nothing left to do about them.
    pub async fn over(&self, upgrade: &str) {
        let mut last = self.last.lock().await;
        let is_of = |_: &String, (of, _): &mut (String, String)| of == upgrade;
        for part in last
            .extract_if(.., is_of)
            .map(|(part, _)| part)
            .collect::<Vec<_>>()
        {
            self.note(&part, None).await;
        }
    }
}
