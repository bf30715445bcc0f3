//! Several herald on one store: one is active, the others stand by and take over by themselves.
//!
//! Who stands by is connected to everything already, and follows the Matrix rooms, so that it has the keys to what the active
//! one writes there. It answers nobody and posts nothing.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{run::Station, serve::Active};
use crate::{
    app,
    clock::SystemClock,
    domain::post::Body,
    ports::{Asker, Clock, Desk, Leadership, Replica, Store, StoreError},
    service::{Book, tenure::Moment},
};

/// How often who stands by looks whether the lead is free.
const LOOK: Duration = Duration::from_secs(1);
/// How long what is in flight may take to end after a stop; others wait for it.
const DRAIN: Duration = Duration::from_secs(10);
/// And after the lead was lost: nothing may be done any more.
const LOST: Duration = Duration::from_secs(1);

/// This process, and the time for which the lead is taken.
struct Lead<'a> {
    station: &'a Station,
    me: Replica,
    ttl: SignedDuration,
}

/// This process.
pub(super) fn this(name: &str) -> Replica {
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    Replica { name: name.to_owned(), instance: format!("{}-{random:016x}", std::process::id()) }
}

/// Waits until nothing is heard any more of a process before this one under the same name; an error if it goes on.
pub(super) async fn alone_by_name(store: &dyn Store, me: &Replica, ttl: SignedDuration) -> Result<()> {
    let mut waited = SignedDuration::ZERO;
    while !store.present(me, ttl).await? {
        if waited.is_zero() {
            tracing::info!(replica = me.name, "another process of this name was heard of lately: waiting until that is over");
        }
        if waited > ttl.saturating_mul(2) {
            bail!("another process runs as replica `{0}`; give each a name of its own: herald run --replica NAME", me.name);
        }
        sleep(LOOK).await;
        waited = waited.saturating_add(SignedDuration::try_from(LOOK).unwrap_or_default());
    }
    Ok(())
}

pub(super) async fn run(station: &Station, me: Replica, stop: watch::Receiver<bool>) -> Result<ExitCode> {
    let lead = Lead { station, me, ttl: station.config.deployment.delivery.lease };
    let mut fresh = true;
    loop {
        let Some((since, waited)) = lead.stand_by(stop.clone()).await? else { break };
        match lead.act(since, fresh && !waited, stop.clone()).await? {
            Ended::Stopped => break,
            Ended::Refused(code) => return Ok(code),
            Ended::Lost => fresh = false,
        }
    }
    // Others need not wait until the time is over.
    if let Err(error) = station.store.resign(&lead.me).await {
        tracing::warn!("{error}");
    }
    Ok(ExitCode::SUCCESS)
}

enum Ended {
    Stopped,
    Refused(ExitCode),
    Lost,
}

impl Lead<'_> {
    /// Until this one has the lead: since when, and whether it had to wait for it. Nothing if told to stop before.
    async fn stand_by(&self, mut stop: watch::Receiver<bool>) -> Result<Option<(Moment, bool)>> {
        let mut aside = JoinSet::new();
        let done = watch::Sender::new(false);
        let (mut waited, mut said) = (false, None);
        let gained = loop {
            let asked = Moment::now(&SystemClock);
            let word = match self.ask().await {
                Ok(Leadership::Mine { term }) => {
                    tracing::info!(replica = self.me.name, term, "this replica is active");
                    break Some((asked, waited));
                }
                Ok(Leadership::Theirs { replica }) => format!("standing by: replica {replica} is active"),
                Ok(Leadership::Doubled) => bail!("another process runs as replica `{}` by now; this one ends", self.me.name),
                Err(error) => format!("standing by: {error}"),
            };
            if said.as_ref() != Some(&word) {
                tracing::info!(replica = self.me.name, "{word}");
                said = Some(word);
            }
            if let Some(matrix) = self.station.chats.matrix.clone().filter(|_| !waited) {
                aside.spawn(matrix.run(Arc::new(Aside), done.subscribe()));
            }
            waited = true;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break None,
                () = sleep(LOOK) => {}
            }
        };
        done.send_replace(true);
        aside.shutdown().await;
        Ok(gained)
    }

    async fn ask(&self) -> Result<Leadership, StoreError> {
        let patience = Duration::try_from(self.ttl / 3).unwrap_or(LOOK);
        match tokio::time::timeout(patience, self.station.store.lead(&self.me, self.ttl)).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError(format!("no answer within {} s", patience.as_secs_f32()))),
        }
    }

    /// A tenth less than the store counts: no two clocks go alike.
    fn length(&self) -> SignedDuration {
        self.ttl * 9 / 10
    }

    /// Is active, until told to stop or until the lead is lost. `first`: nobody was active before; then files are refused as
    /// at any start. Who takes over goes on with what the store has, whatever its files say.
    async fn act(&self, since: Moment, first: bool, mut stop: watch::Receiver<bool>) -> Result<Ended> {
        let station = self.station;
        let active = Active::new(station, if first { station.book() } else { self.newest() });
        active.until(since, self.length());
        let refused = active.refusals(station).await?;
        if !refused.is_empty() && first {
            return Ok(Ended::Refused(app::refuse(&refused)));
        }
        let active = if refused.is_empty() { active } else { self.without(&refused, active, since) };
        active.take_up(station).await?;
        if let Some(finding) = refused.first() {
            active.core.note_trouble("files", Some(&format!("not followed by this replica: {finding}"))).await;
        }
        let core = active.core.clone();
        let lost = Cell::new(false);
        let over = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => DRAIN,
                why = self.keep(&core) => {
                    tracing::warn!(replica = self.me.name, "not active any more: {why}");
                    lost.set(true);
                    // What is in flight ends by itself: it asks before each step whether it may go on.
                    LOST
                }
            }
        };
        active.serve(station, first, over).await?;
        Ok(if lost.get() { Ended::Lost } else { Ended::Stopped })
    }

    /// The files as they are now, if they are good and speak of the same places; else as they were read at the start.
    fn newest(&self) -> Book {
        match app::load(&self.station.origin) {
            Ok(loaded) if loaded.config.deployment == self.station.config.deployment => {
                Book { config: loaded.config, renderer: loaded.renderer }
            }
            _ => self.station.book(),
        }
    }

    /// The same without the upgrade files that are refused.
    fn without(&self, refused: &[crate::config::Finding], active: Active, since: Moment) -> Active {
        let book = active.core.book();
        let mut config = book.config.clone();
        config.upgrades.retain(|u| !refused.iter().any(|f| u.file.name == f.file));
        let active = Active::new(self.station, Book { config, renderer: book.renderer.clone() });
        active.until(since, self.length());
        active
    }

    /// Renews the lead in time; returns why it can't any more.
    async fn keep(&self, core: &crate::service::Core) -> String {
        let pause = Duration::try_from(self.ttl / 4).unwrap_or(LOOK);
        loop {
            sleep(pause).await;
            let asked = Moment::now(&SystemClock);
            match self.ask().await {
                Ok(Leadership::Mine { .. }) => core.tenure.extend(asked, self.length()),
                Ok(Leadership::Theirs { replica }) => return format!("replica {replica} has taken over"),
                Ok(Leadership::Doubled) => return "another process runs under the same name".to_owned(),
                Err(error) => tracing::warn!("the lead could not be renewed: {error}"),
            }
            if core.tenure.is_over(&SystemClock) {
                return "the store did not answer in time, so another one may be active".to_owned();
            }
        }
    }
}

/// Answers nobody.
struct Aside;

#[async_trait]
impl Desk for Aside {
    async fn answer(&self, _: &Asker<'_>, _: &[&str]) -> Body {
        Body::default()
    }

    async fn first_time(&self, _: &str) -> bool {
        false
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}
