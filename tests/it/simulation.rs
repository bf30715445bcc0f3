//! The dispatcher over a faulty chat, on a stepped clock: any seed that fails can be played again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as StdMutex},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    app::{self, Loaded},
    config::{Origin, Readers},
    domain::{
        feedback::Tally,
        post::{PostKey, PostState},
        schedule::Offset,
    },
    ports::{Accepted, Accepting, Batch, Chat, ChatError, Clock, Outgoing, Platform, Store},
    rehearsal::SteppedClock,
    service::{Book, Core, Outlet, dispatcher::Dispatcher, planner::timed},
    store::SqlStore,
};

const SEEDS: u64 = 300;
/// How long the pretended chat knows a key by itself.
const KEY_WINDOW: SignedDuration = SignedDuration::from_mins(3);

/// A small generator whose numbers a seed fixes.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct FaultyChat {
    clock: Arc<SteppedClock>,
    dice: StdMutex<Dice>,
    messages: StdMutex<Vec<(PostKey, String, Timestamp)>>,
}

#[async_trait]
impl Chat for FaultyChat {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        let fault = self.dice.lock().unwrap().roll(10);
        let broken = || ChatError::Retry { reason: "the connection broke".into(), after_ms: None };
        tokio::task::yield_now().await;
        if fault == 0 {
            return Err(broken());
        }
        let now = self.clock.now();
        {
            let mut messages = self.messages.lock().unwrap();
            let known = messages.iter().any(|(key, at, when)| key == out.key && at == place && now.duration_since(*when) < KEY_WINDOW);
            if !known {
                messages.push((out.key.clone(), place.to_owned(), now));
            }
        }
        tokio::task::yield_now().await;
        match fault {
            1 => Err(broken()),
            2 => Err(ChatError::Retry { reason: "slow down".into(), after_ms: Some(600_000) }),
            _ => Ok(Accepted { id: out.key.0.clone(), link: None }),
        }
    }

    async fn find(&self, place: &str, key: &PostKey, _since: Timestamp) -> Result<Option<Accepted>, ChatError> {
        tokio::task::yield_now().await;
        let messages = self.messages.lock().unwrap();
        Ok(messages.iter().find(|(k, at, _)| k == key && at == place).map(|(k, ..)| Accepted { id: k.0.clone(), link: None }))
    }

    async fn open_thread(&self, place: &str, _root: &str, _title: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        self.send(place, out).await
    }

    async fn edit(&self, place: &str, _id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        self.send(place, out).await
    }

    async fn tally(&self, _place: &str, _root: &str, _thread: Option<&str>) -> Result<Tally, ChatError> {
        Ok(Tally::default())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Plays the sample plan's reminders with crashes and faults; `Err` tells what went wrong.
async fn play(seed: u64, loaded: &Loaded) -> Result<usize, String> {
    let upgrade = loaded.config.upgrades[0].upgrade.clone();
    let start = Offset::Days(-15).from(upgrade.window.opens, &loaded.config.plan.zone).unwrap();
    let clock = Arc::new(SteppedClock::new(start));
    let chat = Arc::new(FaultyChat { clock: clock.clone(), dice: StdMutex::new(Dice(seed)), messages: StdMutex::default() });
    // A file: what dies in the middle of a statement closes its connection, and memory would go with it.
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let url = format!("sqlite://{}", dir.path().join("herald.db").display());
    let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.map_err(|e| e.to_string())?);
    let outlet = |place: &str| Outlet {
        platform: Platform::Matrix,
        chat: chat.clone(),
        place: place.to_owned(),
        readers: Readers::Public,
        locale: "en".into(),
        mentions: BTreeMap::new(),
    };
    let outlets: BTreeMap<String, Outlet> = loaded.config.deployment.channels.keys().map(|name| (name.clone(), outlet(name))).collect();
    let posts = timed(&upgrade, 1, &loaded.config.plan, start);
    let accepted = Accepting::new(upgrade, start);
    let batch = Batch { upgrades: vec![accepted], posts: posts.clone(), ..Batch::default() };
    store.commit(batch).await.map_err(|e| e.to_string())?;
    let core = Arc::new(Core::new(
        Book { config: loaded.config.clone(), renderer: loaded.renderer.clone() },
        outlets.clone(),
        clock.clone(),
        store.clone(),
    ));
    let mut dice = Dice(seed ^ 0x5eed);
    let mut crashes = 0;
    for _ in 0..2_000 {
        let mut next = None;
        for channel in outlets.keys() {
            let at = store.next_time(channel).await.map_err(|e| e.to_string())?;
            next = next.into_iter().chain(at).min();
        }
        let Some(next) = next else { break };
        clock.step_to(next);
        for channel in outlets.keys().cloned().collect::<Vec<_>>() {
            let dispatcher = Dispatcher::new(core.clone());
            let task = tokio::spawn(async move { dispatcher.tick(&channel).await.map(|_| ()) });
            if dice.roll(3) == 0 {
                // The process dies at some point of its work.
                for _ in 0..dice.roll(40) {
                    tokio::task::yield_now().await;
                }
                task.abort();
                crashes += 1;
            }
            let _ = task.await;
        }
    }
    let after = store.posts("v2.3.1").await.map_err(|e| e.to_string())?;
    if let Some(open) = after.iter().find(|p| p.state != PostState::Sent) {
        return Err(format!("{} in {} is {:?}: {:?}", open.notice, open.channel, open.state, open.error));
    }
    let messages = chat.messages.lock().unwrap();
    for channel in outlets.keys() {
        let got: Vec<&PostKey> = messages.iter().filter(|(_, at, _)| at == channel).map(|(key, ..)| key).collect();
        let mut wanted: Vec<_> = posts.iter().filter(|p| p.channel == *channel).collect();
        wanted.sort_by_key(|p| (p.due, p.rank));
        let wanted: Vec<&PostKey> = wanted.iter().map(|p| &p.key).collect();
        if got != wanted {
            return Err(format!("{channel}: {} messages for {} posts, or another order", got.len(), wanted.len()));
        }
    }
    Ok(crashes)
}

#[tokio::test]
async fn crashes_and_faults_lose_nothing_and_repeat_nothing() {
    let mut loaded = app::load(&Origin::Embedded).unwrap_or_else(|findings| panic!("{findings:?}"));
    for notice in loaded.config.plan.plans.values_mut().flat_map(|plan| &mut plan.notices) {
        (notice.approval.persons, notice.late) = Default::default();
    }
    let mut crashes = 0;
    for seed in 0..SEEDS {
        crashes += play(seed, &loaded).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(crashes > usize::try_from(SEEDS).unwrap(), "it did crash: {crashes} times");
}
