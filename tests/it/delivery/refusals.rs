//! What a chat refuses of a post, or what somebody deletes there, harms nothing else and is said to operators.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use upgrade_herald::{
    adapters::room::Room,
    domain::{
        campaign::{progress::State, upgrade::Upgrade},
        outbox::{CalendarEvent, Operation, PostKey, PostState},
        people::{
            feedback::{Heard, Reaction},
            roster::Provider,
        },
        plan::notice::{Happening, Notice, Phase, Trigger},
    },
    listen::{feedback::Summariser, rollcall::Rollcall},
    ports::{Accepted, Chat, ChatError, Handling, Outgoing},
    words::snapshot::ConfigSnapshot,
};

use crate::harness::pipeline::{Pipeline, authorized};

const DISCORD: &str = "discord-upgrades";
const MATRIX: &str = "matrix-upgrades";

/// A room that refuses some things.
struct PickyRoom {
    room: Room,
    pictures: AtomicBool,
    threads: AtomicBool,
    /// How often it was asked for answers.
    asked: AtomicUsize,
    /// Messages that somebody has deleted.
    deleted: Mutex<Vec<String>>,
}

impl PickyRoom {
    fn check(&self, id: &str) -> Result<(), ChatError> {
        if !self.deleted.lock().unwrap().iter().any(|gone| gone == id) {
            return Ok(());
        }
        Err(ChatError::Gone {
            reason: format!("{id} was deleted"),
            remedy: "post it anew".into(),
        })
    }
}

#[async_trait]
impl Chat for PickyRoom {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        if self.pictures.load(Ordering::Relaxed) && out.body.picture.is_some() {
            return Err(ChatError::Refused {
                reason: "the file is too large".into(),
                remedy: "make it smaller".into(),
            });
        }
        self.room.send(place, out).await
    }
    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        self.room.find(place, key, since).await
    }
    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        if self.threads.load(Ordering::Relaxed) {
            return Err(ChatError::Retry {
                reason: "no permission to open threads".into(),
                after_ms: Some(60_000),
            });
        }
        self.room.open_thread(place, root, title, out).await
    }
    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        self.check(id)?;
        self.room.edit(place, id, out).await
    }
    async fn handle(&self, place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        self.check(id)?;
        self.room.handle(place, id, how).await
    }
    async fn calendar(&self, key: &PostKey, event: &CalendarEvent) -> Result<Accepted, ChatError> {
        self.room.calendar(key, event).await
    }
    async fn heard(
        &self,
        place: &str,
        root: &str,
        thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.check(root)?;
        self.room.heard(place, root, thread).await
    }
    async fn votes(&self, place: &str, id: &str) -> Result<Vec<Reaction>, ChatError> {
        self.room.votes(place, id).await
    }
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// The pipeline over picky rooms; the notices as given, or those of the sample.
async fn world(notices: Option<Vec<Notice>>) -> (Pipeline, BTreeMap<String, Arc<PickyRoom>>) {
    let mut rooms = BTreeMap::new();
    let world = Pipeline::build(
        &["relay"],
        |plan| {
            if let Some(notices) = notices {
                for of_urgency in plan.plans.values_mut() {
                    of_urgency.notices = notices.clone();
                    of_urgency.remind_unacknowledged = vec![SignedDuration::from_hours(1)];
                    of_urgency.acknowledge_within = SignedDuration::from_hours(3);
                }
            }
        },
        |core| {
            for (name, outlet) in &mut core.outlets {
                let room = Arc::new(PickyRoom {
                    room: Room::new(outlet.platform),
                    pictures: AtomicBool::default(),
                    threads: AtomicBool::default(),
                    asked: AtomicUsize::default(),
                    deleted: Mutex::default(),
                });
                outlet.chat = room.clone();
                rooms.insert(name.clone(), room);
            }
        },
    );
    (world.await, rooms)
}

fn on(id: &str, template: &str, happening: Happening, channels: &[&str]) -> Notice {
    Notice {
        channels: channels.iter().map(|c| (*c).to_owned()).collect(),
        ..Notice::new(id, Phase::Preparation, template, Trigger::On(happening))
    }
}

async fn apply(w: &Pipeline) {
    for _ in 0..30 {
        w.block("relay", 1, &[]).await;
    }
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
}

async fn troubles(w: &Pipeline) -> Vec<String> {
    let all = w.store.troubles().await.unwrap();
    all.into_iter()
        .map(|(part, trouble, _)| format!("{part}: {trouble}"))
        .collect()
}

#[tokio::test]
async fn a_picture_that_is_refused_leaves_the_words_and_is_told_to_operators() {
    let (w, rooms) = world(None).await;
    for room in rooms.values() {
        room.pictures.store(true, Ordering::Relaxed);
    }
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    apply(&w).await;
    for _ in 0..110 {
        w.block("relay", 2, &[]).await;
    }
    assert_eq!(w.state("v2").await, State::Verified);
    let posts = w.store.posts("v2").await.unwrap();
    let verified = |channel: &str, operation| {
        let mut all = posts.iter();
        all.find(|p| p.notice == "verified" && p.channel == channel && p.operation == operation)
            .unwrap_or_else(|| panic!("no {operation:?} in {channel}"))
    };
    for channel in [DISCORD, MATRIX] {
        let post = verified(channel, Operation::Post);
        assert_eq!(post.state, PostState::Sent, "{channel}: {:?}", post.error);
        let said = rooms[channel].room.text(post.remote.as_ref().unwrap());
        assert!(said.is_some_and(|text| text.contains("has run well")));
    }
    assert_eq!(
        verified(MATRIX, Operation::Picture).state,
        PostState::Parked
    );
    let told = troubles(&w).await;
    for part in [
        format!("post of verified in {DISCORD}: posted without its picture: the file is too large"),
        format!("picture of verified in {MATRIX}: the file is too large"),
    ] {
        let own = told.iter().filter(|t| t.starts_with(&part)).count();
        assert_eq!(own, 1, "{part}: {told:#?}");
    }
    // What was said before speaks of nothing below it.
    let applied = verified(DISCORD, Operation::Post).key_beside(Operation::Post, 0);
    assert!(posts.iter().any(|p| p.key == applied));
    for text in posts.iter().filter_map(|p| p.body.as_ref()) {
        assert!(!text.text.contains("see below"), "{}", text.text);
    }
}

#[tokio::test]
async fn a_thread_that_may_not_be_opened_yet_keeps_no_message_back() {
    let (w, rooms) = world(None).await;
    rooms[DISCORD].threads.store(true, Ordering::Relaxed);
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    apply(&w).await;
    for _ in 0..110 {
        w.block("relay", 2, &[]).await;
    }
    let told = w.told("v2", DISCORD).await;
    assert!(
        told.contains(&"verified".to_owned()) && !told.contains(&"applied thread".to_owned()),
        "{told:?}"
    );
    let part = format!("thread of applied in {DISCORD}: no permission to open threads");
    assert!(troubles(&w).await.contains(&part));

    // Once it may be, it is opened, and the trouble is over.
    rooms[DISCORD].threads.store(false, Ordering::Relaxed);
    w.step(600);
    w.settle().await;
    let told = w.told("v2", DISCORD).await;
    assert!(told.contains(&"applied thread".to_owned()), "{told:?}");
    assert!(!troubles(&w).await.contains(&part));
}

#[tokio::test]
async fn a_board_that_is_deleted_is_made_anew_and_pinned_and_goes_on_from_there() {
    let board = Notice {
        board: true,
        live: true,
        ..on(
            "board",
            "preparation/board",
            Happening::Planned,
            &[DISCORD, MATRIX],
        )
    };
    let (w, rooms) = world(Some(vec![board])).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.settle().await;
    let first = w.posts("v2").await[0].remote.clone().unwrap();
    rooms[DISCORD].deleted.lock().unwrap().push(first.clone());
    w.step(60);
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.step(60);
    w.settle().await;
    let place = &w.core.outlets[DISCORD].place;
    let shown = |w: &PickyRoom| {
        w.room
            .all(place)
            .into_iter()
            .filter(|m| m.id != first)
            .collect::<Vec<_>>()
    };
    let all = shown(&rooms[DISCORD]);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert!(all[0].pinned, "{all:#?}");
    let anew = all[0].body.text.clone();

    // The next change edits the new one; a second is not made. On Matrix nothing was deleted, and there is one.
    w.step(60);
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
    w.step(60);
    w.settle().await;
    let all = shown(&rooms[DISCORD]);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_ne!(all[0].body.text, anew);
    assert_eq!(
        rooms[MATRIX].room.all(&w.core.outlets[MATRIX].place).len(),
        1
    );
    assert_eq!(troubles(&w).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_live_post_that_is_deleted_is_let_be_and_said_once() {
    let live = Notice {
        live: true,
        ..on("live", "preparation/board", Happening::Planned, &[DISCORD])
    };
    let (w, rooms) = world(Some(vec![live])).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.settle().await;
    let first = w.posts("v2").await[0].remote.clone().unwrap();
    rooms[DISCORD].deleted.lock().unwrap().push(first.clone());
    w.step(60);
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.step(60);
    w.settle().await;
    assert_eq!(
        rooms[DISCORD]
            .room
            .all(&w.core.outlets[DISCORD].place)
            .len(),
        1
    );
    let told = troubles(&w).await;
    assert!(
        told.len() == 1
            && told[0].starts_with(&format!("edit of live in {DISCORD}: {first} was deleted")),
        "{told:?}"
    );
}

/// Somebody who has to answer.
fn list_a_provider(w: &Pipeline) {
    let (mut config, renderer) = (
        w.core.snapshot().config.clone(),
        w.core.snapshot().renderer.clone(),
    );
    config.roster = vec![Provider {
        id: "quay".into(),
        name: "Quay (invented)".into(),
        matrix: None,
        nodes: Vec::new(),
    }];
    w.core.files.replace(ConfigSnapshot { config, renderer });
}

#[tokio::test]
async fn a_post_that_asks_and_is_deleted_is_said_once_and_asked_for_rarely() {
    let asks = Notice {
        acknowledge: true,
        ..on(
            "asks",
            "preparation/announced",
            Happening::Planned,
            &[DISCORD],
        )
    };
    let (w, rooms) = world(Some(vec![asks])).await;
    list_a_provider(&w);
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.settle().await;
    let first = w.posts("v2").await[0].remote.clone().unwrap();
    rooms[DISCORD].deleted.lock().unwrap().push(first);
    let rollcall = Rollcall::new(w.core.clone());
    // An hour, as a herald looks.
    for _ in 0..720 {
        rollcall.tick().await.unwrap();
        w.step(5);
    }
    let asked = rooms[DISCORD].asked.load(Ordering::Relaxed);
    assert!((1..=3).contains(&asked), "asked {asked} times");
    let told = troubles(&w).await;
    let part = format!("acknowledgements of asks in {DISCORD}: can't be counted");
    assert!(told.len() == 1 && told[0].starts_with(&part), "{told:?}");

    // With the upgrade the trouble is over.
    let cancelled = Upgrade {
        cancelled: Some("A fault was found.".into()),
        ..w.upgrade("v2", &["relay"])
    };
    w.plan(&[cancelled]).await;
    Summariser::new(w.core.clone()).tick().await.unwrap();
    assert_eq!(troubles(&w).await, Vec::<String>::new());
}

#[tokio::test]
async fn nobody_is_asked_for_an_answer_once_the_upgrade_is_applied() {
    for is_applied in [false, true] {
        let asks = Notice {
            acknowledge: true,
            ..on(
                "asks",
                "preparation/announced",
                Happening::Planned,
                &[DISCORD],
            )
        };
        let reminds = on(
            "reminds",
            "scheduling/unacknowledged",
            Happening::Unacknowledged,
            &[DISCORD],
        );
        let (w, _) = world(Some(vec![asks, reminds])).await;
        list_a_provider(&w);
        // An answer is asked for before the window opens, so it opens after the reminder.
        let mut upgrade = w.upgrade("v2", &["relay"]);
        let later = |at: Timestamp| at.checked_add(SignedDuration::from_hours(2)).unwrap();
        upgrade.window.opens = later(upgrade.window.opens);
        upgrade.window.closes = later(upgrade.window.closes);
        w.plan(&[upgrade]).await;
        w.settle().await;
        if is_applied {
            apply(&w).await;
        }
        w.step(3_700);
        Rollcall::new(w.core.clone()).tick().await.unwrap();
        w.settle().await;
        let told = w.told("v2", DISCORD).await;
        assert_eq!(
            told.contains(&"reminds".to_owned()),
            !is_applied,
            "{told:?}"
        );
    }
}
