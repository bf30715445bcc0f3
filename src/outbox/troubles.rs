//! Parts that are in trouble, kept where `herald status` can see them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::ports::{Clock, Store, StoreError};

pub struct Troubles {
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    noted: Mutex<BTreeMap<String, Noted>>,
}

/// What was noted last of a part.
struct Noted {
    /// The upgrade that the trouble is of, if it is of one.
    upgrade: String,
    trouble: Option<String>,
    at: Timestamp,
    /// The store has it.
    saved: bool,
}

impl Troubles {
    pub(super) fn new(clock: Arc<dyn Clock>, store: Arc<dyn Store>) -> Self {
        Self {
            clock,
            store,
            noted: Mutex::default(),
        }
    }

    /// Notes the trouble of a part, or that it is well.
    pub async fn note(&self, part: &str, trouble: Option<&str>) {
        let mut noted = self.noted.lock().await;
        // Each post that goes well says so again.
        let is_news = trouble.is_some() || noted.get(part).is_none_or(|n| n.trouble.is_some());
        if is_news {
            self.take(&mut noted, "", part, trouble.map(str::to_owned));
        }
        self.save_all(&mut noted).await;
    }

    /// Notes the trouble of a part that belongs to no upgrade, if it is another than was noted before.
    pub async fn note_change(&self, part: &str, trouble: Option<String>) {
        self.note_of("", part, trouble).await;
    }

    /// Notes the trouble of a part of an upgrade, if it is another than was noted before.
    pub async fn note_of(&self, upgrade: &str, part: &str, trouble: Option<String>) {
        let mut noted = self.noted.lock().await;
        if noted.get(part).and_then(|n| n.trouble.as_ref()) != trouble.as_ref() {
            self.take(&mut noted, upgrade, part, trouble);
        }
        self.save_all(&mut noted).await;
    }

    /// Ends the troubles that were of an upgrade which is over: there is nothing left to do about them.
    pub async fn over(&self, upgrade: &str) {
        let mut noted = self.noted.lock().await;
        let is_of = |(_, n): &(&String, &mut Noted)| n.upgrade == upgrade && n.trouble.is_some();
        for (_, ended) in noted.iter_mut().filter(is_of) {
            (ended.trouble, ended.at, ended.saved) = (None, self.clock.now(), false);
        }
        self.save_all(&mut noted).await;
    }

    /// Writes what the store did not take when it was noted; says whether it has all now.
    pub async fn save(&self) -> bool {
        let mut noted = self.noted.lock().await;
        self.save_all(&mut noted).await;
        noted.values().all(|news| news.saved)
    }

    fn take(
        &self,
        noted: &mut BTreeMap<String, Noted>,
        upgrade: &str,
        part: &str,
        trouble: Option<String>,
    ) {
        if let Some(trouble) = &trouble {
            tracing::warn!(part, "{trouble}");
        }
        let news = Noted {
            upgrade: upgrade.to_owned(),
            trouble,
            at: self.clock.now(),
            saved: false,
        };
        noted.insert(part.to_owned(), news);
    }

    async fn save_all(&self, noted: &mut BTreeMap<String, Noted>) {
        for (part, news) in noted.iter_mut().filter(|(_, n)| !n.saved) {
            let trouble = news.trouble.as_deref();
            match self.store.set_trouble(part, trouble, news.at).await {
                Ok(()) => news.saved = true,
                // It is written with whatever is noted next, or by `save`.
                Err(error @ StoreError::Unavailable(_)) => return tracing::error!("{error}"),
                Err(error) => {
                    tracing::error!(part, "this trouble can't be kept: {error}");
                    news.saved = true;
                }
            }
        }
    }
}
