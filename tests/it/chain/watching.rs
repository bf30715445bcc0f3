//! The watcher and the dispatcher over pretended chains whose blocks and endpoints are laid down by hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use upgrade_herald::{
    adapters::store::SqlStore,
    config::{Origin, Plan, SourceFile, UpgradeFile},
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    domain::{
        campaign::{
            progress::State,
            upgrade::{Referendum, Target, Upgrade},
        },
        chain::{
            block::{Block, ChainEvent, Kin},
            memory::{Memory, enactment_name},
            observation::{EndpointSight, Sight},
        },
        outbox::{Operation, Post, PostState},
        plan::notice::{LatePolicy, Notice},
    },
    lint,
    outbox::Core,
    plan::planner::Planner,
    ports::{Chain, ChainError, Clock, Head, Outlet, Readers, Store},
    rehearsal::{Room, SteppedClock},
    watch::watcher::Watcher,
    words::snapshot::ConfigSnapshot,
};

/// A chain as its script has it.
#[derive(Default)]
pub struct Scripted {
    pub blocks: Mutex<Vec<Block>>,
    pub sight: Mutex<Sight>,
    pub code: Mutex<Option<String>>,
    pub slow: Mutex<bool>,
    pub lost: Mutex<Vec<u64>>,
}

#[async_trait]
impl Chain for Scripted {
    async fn head(&self, _known: Option<&Memory>) -> Result<Head, ChainError> {
        let blocks = self.blocks.lock().unwrap();
        let last = blocks
            .last()
            .ok_or_else(|| ChainError::Unreachable("no block yet".into()))?;
        Ok(Head {
            genesis: "0x00".into(),
            number: last.number,
            hash: last.hash.clone(),
            rewritten: false,
            lag: 0,
        })
    }

    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        let slow = *self.slow.lock().unwrap();
        if slow {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        {
            // Each entry is one answer "not found".
            let mut lost = self.lost.lock().unwrap();
            if let Some(i) = lost.iter().position(|n| *n == number) {
                lost.remove(i);
                return Err(ChainError::Absent(
                    "UnknownBlock: Header was not found in the database".into(),
                ));
            }
        }
        let blocks = self.blocks.lock().unwrap();
        blocks
            .iter()
            .find(|b| b.number == number)
            .cloned()
            .ok_or_else(|| ChainError::Absent(format!("no block {number}")))
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        self.block(number)
            .await
            .map(|b| b.proven_version.unwrap_or(b.spec_version))
    }

    async fn code_hash(&self, _number: u64) -> Result<Option<String>, ChainError> {
        Ok(self.code.lock().unwrap().clone())
    }

    async fn enactment(&self, _number: u64, _referendum: u32) -> Result<Option<u64>, ChainError> {
        Ok(None)
    }

    fn sight(&self) -> Sight {
        self.sight.lock().unwrap().clone()
    }

    async fn doubt(&self) {}

    async fn changed(&self) {}
}

pub struct World {
    pub core: Arc<Core>,
    pub clock: Arc<SteppedClock>,
    pub store: Arc<dyn Store>,
    pub chains: BTreeMap<String, Arc<Scripted>>,
    pub watcher: Watcher,
    pub dispatcher: Dispatcher,
    pub gate: Gate,
    pub sample: Upgrade,
}

fn nodes(chains: &BTreeMap<String, Arc<Scripted>>) -> BTreeMap<String, Arc<dyn Chain>> {
    chains
        .iter()
        .map(|(n, c)| (n.clone(), c.clone() as Arc<dyn Chain>))
        .collect()
}

fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

impl World {
    /// Chains of these names, followed from an hour before the sample's window on; the plan as `change` makes it.
    pub async fn new(names: &[&str], change: impl FnOnce(&mut Plan)) -> Self {
        Self::build(names, change, |_| {}).await
    }

    pub async fn build(
        names: &[&str],
        change: impl FnOnce(&mut Plan),
        change_core: impl FnOnce(&mut Core),
    ) -> Self {
        let mut loaded = lint::load(&Origin::Embedded).unwrap();
        // What is said when an upgrade is campaign, and long after it, would stand in every story.
        let chatter = |n: &Notice| n.board || n.id == "window-set" || !n.delay.is_zero();
        loaded
            .config
            .plan
            .plans
            .values_mut()
            .for_each(|plan| plan.notices.retain(|n| !chatter(n)));
        // Approvals and what is missed are stories of their own.
        for notice in loaded
            .config
            .plan
            .plans
            .values_mut()
            .flat_map(|plan| &mut plan.notices)
        {
            (notice.approval.persons, notice.late) = (0, LatePolicy::Post);
        }
        change(&mut loaded.config.plan);
        let sample = loaded.config.upgrades[0].upgrade.clone();
        let clock = Arc::new(SteppedClock::new(
            sample.window.opens.checked_sub(seconds(3000)).unwrap(),
        ));
        let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await.unwrap());
        let outlets = loaded
            .config
            .deployment
            .channels
            .iter()
            .map(|(name, channel)| {
                let chat = Arc::new(Room::new(channel.platform));
                let (place, locale, mentions) = (
                    channel.place.clone(),
                    channel.locale.clone(),
                    channel.mentions.clone(),
                );
                (
                    name.clone(),
                    Outlet {
                        platform: channel.platform,
                        chat,
                        place,
                        readers: channel.readers,
                        locale,
                        mentions,
                    },
                )
            });
        let outlets = outlets.collect();
        let mut core = Core::new(
            ConfigSnapshot {
                config: loaded.config,
                renderer: loaded.renderer,
            },
            outlets,
            clock.clone(),
            store.clone(),
        );
        change_core(&mut core);
        let core = Arc::new(core);
        let chains: BTreeMap<String, Arc<Scripted>> = names
            .iter()
            .map(|n| (n.to_string(), Arc::new(Scripted::default())))
            .collect();
        let world = Self {
            watcher: Watcher::new(core.clone(), nodes(&chains)),
            dispatcher: Dispatcher::new(core.clone()),
            gate: Gate::new(core.clone()),
            core,
            clock,
            store,
            chains,
            sample,
        };
        for chain in world.chains.keys() {
            world.block(chain, 1, &[]).await;
        }
        world
    }

    pub async fn plan(&self, upgrades: &[Upgrade]) {
        let file = |u: &Upgrade| SourceFile {
            name: format!("upgrades/{}.yaml", u.id),
            text: String::new(),
        };
        let files: Vec<UpgradeFile> = upgrades
            .iter()
            .map(|u| UpgradeFile {
                upgrade: u.clone(),
                file: file(u),
            })
            .collect();
        let planned = Planner::new(self.core.clone())
            .tick_with(&files)
            .await
            .unwrap();
        assert!(planned.refused.is_empty(), "{:?}", planned.refused);
    }

    /// The sample, to bring version 2 to these chains.
    pub fn upgrade(&self, id: &str, chains: &[&str]) -> Upgrade {
        let chains = chains
            .iter()
            .map(|c| {
                (
                    c.to_string(),
                    Target {
                        spec_version: 2,
                        code_hash: None,
                    },
                )
            })
            .collect();
        Upgrade {
            id: id.into(),
            chains,
            ..self.sample.clone()
        }
    }

    /// The next block of a chain, six seconds later, running this version, with these events.
    pub async fn block(&self, chain: &str, version: u32, events: &[(&str, &str, Value)]) {
        self.block_with(chain, version, events, |_| {}).await;
    }

    pub async fn block_with(
        &self,
        chain: &str,
        version: u32,
        events: &[(&str, &str, Value)],
        change: impl FnOnce(&mut Block),
    ) {
        self.step(6);
        self.push(chain, version, events, change);
        self.watcher.tick(chain).await.unwrap();
        self.settle().await;
    }

    /// A block that nobody has read yet.
    pub fn push(
        &self,
        chain: &str,
        version: u32,
        events: &[(&str, &str, Value)],
        change: impl FnOnce(&mut Block),
    ) {
        let mut blocks = self.chains[chain].blocks.lock().unwrap();
        let number = blocks.last().map_or(100, |b| b.number + 1);
        let event = |(pallet, name, fields): &(&str, &str, Value)| ChainEvent {
            pallet: pallet.to_string(),
            name: name.to_string(),
            fields: fields.clone(),
        };
        let mut block = Block {
            number,
            hash: format!("0x{chain}{number}"),
            time: Some(self.clock.now()),
            spec_version: version,
            transaction_version: 1,
            proven_version: Some(version),
            events: events.iter().map(event).collect(),
            ..Block::default()
        };
        change(&mut block);
        blocks.push(block);
    }

    pub fn step(&self, secs: i64) {
        self.clock
            .step_to(self.clock.now().checked_add(seconds(secs)).unwrap());
    }

    pub async fn settle(&self) {
        loop {
            let mut busy = !self.gate.tick().await.unwrap().is_empty();
            for channel in self.core.outlets.keys() {
                busy |= !self.dispatcher.tick(channel).await.unwrap().is_empty();
            }
            if !busy {
                return;
            }
        }
    }

    /// herald is started again over the same store, with the clock as it is or at another time.
    pub fn restart(&mut self, at: Option<Timestamp>) {
        let snapshot = self.core.snapshot();
        let snapshot = ConfigSnapshot {
            config: snapshot.config.clone(),
            renderer: snapshot.renderer.clone(),
        };
        self.clock = Arc::new(SteppedClock::new(at.unwrap_or_else(|| self.clock.now())));
        self.core = Arc::new(Core::new(
            snapshot,
            self.core.outlets.clone(),
            self.clock.clone(),
            self.store.clone(),
        ));
        self.watcher = Watcher::new(self.core.clone(), nodes(&self.chains));
        self.dispatcher = Dispatcher::new(self.core.clone());
        self.gate = Gate::new(self.core.clone());
    }

    pub async fn observe(&self, chain: &str) {
        self.watcher.observe(chain).await.unwrap();
        self.settle().await;
    }

    pub fn see(&self, chain: &str, endpoints: &[(bool, i64)], unseen: i64) {
        let endpoints = endpoints.iter().map(|(answers, unmoved)| EndpointSight {
            answers: *answers,
            unmoved: seconds(*unmoved),
            ..EndpointSight::default()
        });
        *self.chains[chain].sight.lock().unwrap() = Sight {
            endpoints: endpoints.collect(),
            lag: Some(0),
            unseen: seconds(unseen),
        };
    }

    pub async fn posts(&self, upgrade: &str) -> Vec<Post> {
        let mut posts = self.store.posts(upgrade).await.unwrap();
        posts.retain(|p| p.state == PostState::Sent);
        posts.sort_by_key(|p| (p.sent, p.rank));
        posts
    }

    /// What a channel was told since the window's hour, as `notice` or `notice operation`.
    pub async fn told(&self, upgrade: &str, channel: &str) -> Vec<String> {
        let posts = self
            .posts(upgrade)
            .await
            .into_iter()
            .filter(|p| p.channel == channel);
        posts
            .map(|p| {
                if p.operation == Operation::Post {
                    p.notice
                } else {
                    format!("{} {}", p.notice, p.operation.name())
                }
            })
            .collect()
    }

    pub async fn text(&self, upgrade: &str, notice: &str, channel: &str) -> String {
        let posts = self.posts(upgrade).await;
        let post = posts.iter().rev().find(|p| {
            p.notice == notice && p.channel == channel && p.operation != Operation::Thread
        });
        post.and_then(|p| p.body.clone())
            .map(|b| b.text)
            .unwrap_or_default()
    }

    pub async fn state(&self, upgrade: &str) -> State {
        self.core
            .campaign(upgrade)
            .await
            .unwrap()
            .unwrap()
            .progress
            .state
    }
}

pub fn authorized(hash: &str) -> (&'static str, &'static str, Value) {
    (
        "System",
        "UpgradeAuthorized",
        json!({ "code_hash": hash, "check_version": true }),
    )
}

#[tokio::test]
async fn many_chains_make_three_messages_and_the_rest_is_edited() {
    let names = ["asset-hub", "bridge-hub", "coretime", "people", "relay"];
    let w = World::new(&names, |_| {}).await;
    w.plan(&[w.upgrade("v2", &names)]).await;
    for chain in names {
        w.block(chain, 1, &[authorized("0xaa")]).await;
    }
    for chain in names {
        w.block(chain, 1, &[("System", "CodeUpdated", json!([]))])
            .await;
        w.block(chain, 2, &[]).await;
        w.step(31); // an edit is made no more often than every half minute
        w.settle().await;
    }
    let told = w.told("v2", "discord-upgrades").await;
    let messages: Vec<&String> = told
        .iter()
        .filter(|t| !t.ends_with("edit") && !t.ends_with("thread"))
        .collect();
    assert_eq!(messages, ["authorized", "under-way", "applied"], "{told:?}");
    let edits = told.iter().filter(|t| *t == "under-way edit").count();
    assert!((3..=10).contains(&edits), "{told:?}");
    let last = w.text("v2", "under-way", "discord-upgrades").await;
    assert!(
        last.contains("people: **applied**, runs `spec_version` 2"),
        "{last}"
    );
    for channel in ["discord-upgrades", "matrix-upgrades"] {
        assert_eq!(w.told("v2", channel).await, told, "the same everywhere");
    }
    assert!(w.told("v2", "discord-operations").await.is_empty());
}

#[tokio::test]
async fn a_stall_is_told_when_two_nodes_agree_and_taken_back_when_it_is_over() {
    let w = World::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.see("relay", &[(true, 5), (true, 5)], 0);
    w.observe("relay").await;
    w.see("relay", &[(true, 200), (true, 190)], 0);
    w.observe("relay").await;
    w.observe("relay").await;
    w.see("relay", &[(true, 3), (true, 260)], 0);
    w.observe("relay").await;
    assert_eq!(
        w.told("v2", "discord-upgrades").await,
        ["authorized", "stalled", "recovered"]
    );
    let text = w.text("v2", "stalled", "discord-upgrades").await;
    assert!(
        text.contains("has finalized no block for 190 s") && text.contains("**101**"),
        "{text}"
    );
}

#[tokio::test]
async fn a_herald_that_cannot_see_tells_operators_and_nobody_of_a_stall() {
    let w = World::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    for sight in [
        &[(false, 0), (false, 0)][..],
        &[(true, 900), (false, 0)],
        &[(true, 900)],
    ] {
        w.see(
            "relay",
            sight,
            if sight.iter().all(|s| !s.0) { 400 } else { 0 },
        );
        w.observe("relay").await;
    }
    w.see("relay", &[(true, 2), (true, 2)], 0);
    w.observe("relay").await;
    assert_eq!(w.told("v2", "discord-upgrades").await, ["authorized"]);
    assert_eq!(
        w.told("v2", "discord-operations").await,
        ["op-blind", "op-sighted"]
    );
}

#[tokio::test]
async fn a_window_in_which_nothing_comes_is_asked_about_once() {
    let w = World::new(&["relay"], |_| {}).await;
    let upgrade = w.upgrade("v2", &["relay"]);
    w.plan(std::slice::from_ref(&upgrade)).await;
    w.clock
        .step_to(upgrade.window.opens.checked_add(seconds(1700)).unwrap());
    w.observe("relay").await;
    assert!(w.told("v2", "discord-operations").await.is_empty());
    w.step(200);
    w.observe("relay").await;
    w.observe("relay").await;
    assert_eq!(w.told("v2", "discord-operations").await, ["op-overdue"]);
    let told = w.told("v2", "discord-upgrades").await;
    assert!(!told.iter().any(|t| t.contains("overdue")), "{told:?}");
}

#[tokio::test]
async fn an_upgrade_nobody_planned_is_told_and_a_file_joins_it() {
    let w = World::new(&["relay"], |_| {}).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    let id = "unplanned-relay-101";
    assert_eq!(w.told(id, "discord-operations").await, ["op-unplanned"]);
    assert_eq!(w.told(id, "discord-upgrades").await, ["unplanned"]);
    let text = w.text(id, "unplanned", "discord-upgrades").await;
    assert!(
        text.contains("Nobody has announced this here")
            && text.contains("0xaa")
            && !text.contains("Window"),
        "{text}"
    );
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
    assert_eq!(
        w.told(id, "discord-upgrades").await,
        ["unplanned", "applied", "applied thread"]
    );

    // The file comes late; it goes on with what is there.
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    for _ in 0..320 {
        w.block("relay", 2, &[]).await;
    }
    let told = w.told(id, "discord-upgrades").await;
    let messages: Vec<&String> = told
        .iter()
        .filter(|t| !t.contains(' ') && !t.starts_with("final") && !t.starts_with("reminder"))
        .collect();
    assert_eq!(
        messages,
        ["unplanned", "applied", "verified", "completed"],
        "{told:?}"
    );
    assert!(
        w.text(id, "completed", "discord-upgrades")
            .await
            .contains(&w.sample.title),
        "under the words of the file"
    );
    assert!(
        w.store.posts("v2").await.unwrap().is_empty(),
        "no second campaign"
    );
    // Read again at the next start, it is the same one.
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    assert_eq!(w.store.upgrades().await.unwrap().len(), 1);
}

#[tokio::test]
async fn where_the_plan_says_so_operators_alone_hear_of_the_unplanned() {
    let w = World::new(&["people", "relay"], |plan| {
        plan.unplanned = Readers::Operators
    })
    .await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
    w.block("people", 2, &[]).await;
    let id = "unplanned-relay-101";
    assert_eq!(w.told(id, "discord-operations").await, ["op-unplanned"]);
    assert!(w.told(id, "discord-upgrades").await.is_empty());
    let upgrades = w.store.upgrades().await.unwrap();
    assert_eq!(upgrades.len(), 1, "a chain that follows joins it");
    assert_eq!(
        upgrades[0].upgrade.chains.keys().collect::<Vec<_>>(),
        ["people", "relay"]
    );
    assert_eq!(w.state(id).await, State::Applied);
}

#[tokio::test]
async fn what_is_found_late_says_so_with_the_blocks_own_time() {
    let w = World::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    for _ in 0..20 {
        w.step(6);
        w.push("relay", 1, &[], |_| {});
    }
    let at: Timestamp = w.clock.now();
    w.push("relay", 1, &[authorized("0xaa")], |_| {});
    for _ in 0..60 {
        w.step(6);
        w.push("relay", 1, &[], |_| {});
    }
    w.watcher.tick("relay").await.unwrap();
    w.settle().await;
    let text = w.text("v2", "authorized", "discord-upgrades").await;
    assert!(
        text.contains("Seen late") && text.contains(&format!("<t:{}:F>", at.as_second())),
        "{text}"
    );
    let facts = w.store.facts().await.unwrap();
    assert!(facts[0].late && facts[0].time == Some(at), "{facts:?}");
    // What is seen as it happens does not.
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
    assert!(
        !w.text("v2", "applied", "discord-upgrades")
            .await
            .contains("Seen late")
    );
}

#[tokio::test]
async fn migrations_are_counted_and_applied_is_not_done() {
    let w = World::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    let started = (
        "MultiBlockMigrations",
        "UpgradeStarted",
        json!({ "migrations": 3 }),
    );
    w.block_with("relay", 2, &[started], |b| b.migrating = true)
        .await;
    for index in 0..3 {
        w.step(31);
        let step = (
            "MultiBlockMigrations",
            "MigrationCompleted",
            json!({ "index": index, "took": 1 }),
        );
        w.block_with("relay", 2, &[step], |b| b.migrating = true)
            .await;
    }
    let text = w.text("v2", "applied", "discord-upgrades").await;
    assert!(text.contains("migrating 3 of 3"), "{text}");
    for _ in 0..110 {
        w.block_with("relay", 2, &[], |b| b.migrating = true).await;
    }
    assert_eq!(
        w.state("v2").await,
        State::Applied,
        "healthy for long, and not verified"
    );
    let told = w.told("v2", "discord-upgrades").await;
    assert_eq!(
        told.iter().filter(|t| *t == "migration-stuck").count(),
        1,
        "{told:?}"
    );
    w.block(
        "relay",
        2,
        &[("MultiBlockMigrations", "UpgradeCompleted", json!([]))],
    )
    .await;
    assert_eq!(w.state("v2").await, State::Verified);
}

#[tokio::test]
async fn a_verification_says_its_figures_and_shows_a_picture() {
    let w = World::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    let success = (
        "System",
        "ExtrinsicSuccess",
        json!({ "dispatch_info": { "class": "Normal" } }),
    );
    let failure = (
        "System",
        "ExtrinsicFailed",
        json!({ "dispatch_info": { "class": "Normal" } }),
    );
    for _ in 0..30 {
        w.block("relay", 1, std::slice::from_ref(&success)).await;
    }
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
    *w.chains["relay"].code.lock().unwrap() = Some("0xaa".into());
    w.see("relay", &[(true, 1), (true, 1), (false, 0)], 0);
    w.observe("relay").await;
    w.step(12);
    for _ in 0..100 {
        w.block("relay", 2, &[success.clone(), failure.clone()])
            .await;
    }
    let text = w.text("v2", "verified", "discord-upgrades").await;
    for words in [
        "6.1 s a block (before 6.0)",
        "longest 18.0",
        "transactions, ",
        "code as planned",
        "2 of 3 nodes answer",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let posts = w.posts("v2").await;
    let verified = |channel: &str, operation| {
        let post = posts
            .iter()
            .find(|p| p.notice == "verified" && p.channel == channel && p.operation == operation);
        post.and_then(|p| p.body.clone()).and_then(|b| b.picture)
    };
    let on_discord = verified("discord-upgrades", Operation::Post).expect("in the post itself");
    let on_matrix = verified("matrix-upgrades", Operation::Picture).expect("a message of its own");
    assert_eq!(on_discord, on_matrix);
    assert!(
        on_discord.alt.contains("relay") && on_discord.png.starts_with(b"\x89PNG"),
        "{on_discord:?}"
    );
    // Kept to be looked at.
    std::fs::write(
        concat!(env!("CARGO_TARGET_TMPDIR"), "/block-times.png"),
        &on_discord.png,
    )
    .unwrap();
}

#[tokio::test]
async fn another_code_than_the_planned_one_is_named() {
    let w = World::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.block("relay", 2, &[]).await;
    *w.chains["relay"].code.lock().unwrap() = Some("0xbb".into());
    w.see("relay", &[(true, 1)], 0);
    w.observe("relay").await;
    w.observe("relay").await;
    let told = w.told("v2", "discord-upgrades").await;
    assert_eq!(
        told.iter().filter(|t| *t == "other-version").count(),
        1,
        "{told:?}"
    );
    assert!(
        w.text("v2", "other-version", "discord-upgrades")
            .await
            .contains("code 0xbb, planned 0xaa")
    );
}

#[tokio::test]
async fn a_known_block_is_told_with_an_estimate_and_again_when_it_moves() {
    let kin = |core: &mut Core| {
        core.kin.insert(
            "relay".into(),
            Kin {
                paras: [(1004, "people".to_owned())].into(),
                relay: None,
            },
        );
    };
    let w = World::build(&["people", "relay"], |_| {}, kin).await;
    w.plan(&[w.upgrade("v2", &["people"])]).await;
    for _ in 0..30 {
        w.block("relay", 1, &[]).await;
    }
    w.block(
        "people",
        1,
        &[
            authorized("0xaa"),
            ("ParachainSystem", "ValidationFunctionStored", json!([])),
        ],
    )
    .await;
    let check = |result: &'static str| ("Paras", result, json!(["0xaa", 1004]));
    w.block(
        "relay",
        1,
        &[check("PvfCheckStarted"), check("PvfCheckAccepted")],
    )
    .await;
    let number = w.chains["relay"]
        .blocks
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .number;
    let at = number + 601;
    let ahead = |b: &mut Block| b.upcoming = vec![(1004, at)];
    w.block_with("relay", 1, &[], ahead).await;
    let text = w.text("v2", "go-ahead", "discord-upgrades").await;
    let expected = w
        .clock
        .now()
        .checked_add(seconds(3600))
        .unwrap()
        .as_second();
    assert!(
        text.contains(&format!("block **{at}** of relay")) && text.contains("give or take"),
        "{text}"
    );
    let said: i64 = text
        .split("about <t:")
        .nth(1)
        .and_then(|t| t.split(':').next())
        .and_then(|t| t.parse().ok())
        .unwrap();
    assert!(
        (said - expected).abs() <= 180,
        "{said} and not {expected}: {text}"
    );

    // Blocks come at half the pace: the hour said is wrong by more than ten minutes before long, and that is told.
    for _ in 0..300 {
        w.step(6);
        w.block_with("relay", 1, &[], ahead).await;
    }
    let told = w.told("v2", "discord-upgrades").await;
    let moved = told.iter().filter(|t| *t == "new-estimate").count();
    assert!((1..=6).contains(&moved), "{told:?}");
    let text = w.text("v2", "new-estimate", "discord-upgrades").await;
    assert!(
        text.contains(&at.to_string()) && text.contains("give or take"),
        "{text}"
    );

    // The block comes, and with it the code.
    w.block(
        "people",
        1,
        &[
            ("System", "CodeUpdated", json!([])),
            ("ParachainSystem", "ValidationFunctionApplied", json!({})),
        ],
    )
    .await;
    w.block("people", 2, &[]).await;
    for _ in 0..50 {
        w.step(6);
        w.block("relay", 1, &[]).await;
    }
    let told = w.told("v2", "discord-upgrades").await;
    assert_eq!(
        told.iter().filter(|t| *t == "new-estimate").count(),
        moved,
        "nothing is estimated any more"
    );
    let messages: Vec<&String> = told
        .iter()
        .filter(|t| !t.contains(' ') && *t != "new-estimate" && *t != "final-checks")
        .collect();
    assert_eq!(messages, ["authorized", "go-ahead", "applied"], "{told:?}");
}

#[tokio::test]
async fn governance_is_told_of_the_upgrades_own_referendum_alone() {
    let w = World::new(&["hub", "relay"], |_| {}).await;
    let referendum = Some(Referendum {
        chain: "hub".into(),
        index: 7,
    });
    w.plan(&[Upgrade {
        referendum,
        ..w.upgrade("v2", &["relay"])
    }])
    .await;
    for index in [7, 8] {
        for step in ["DecisionStarted", "ConfirmStarted"] {
            w.block(
                "hub",
                1,
                &[("Referenda", step, json!({ "index": index, "tally": {} }))],
            )
            .await;
        }
    }
    let confirmed = |i: u32| ("Referenda", "Confirmed", json!({ "index": i, "tally": {} }));
    w.block_with("hub", 1, &[confirmed(7), confirmed(8)], |b| {
        b.enactments = vec![(7, 400), (8, 401)]
    })
    .await;
    let name = upgrade_herald::domain::hex::encode(&enactment_name(7));
    let failed = json!({ "task": [400, 0], "id": { "Some": name }, "result": { "Err": "System.FailedToExtractRuntimeVersion" } });
    w.block("hub", 1, &[("Scheduler", "Dispatched", failed)])
        .await;
    let told = w.told("v2", "discord-upgrades").await;
    assert_eq!(
        told,
        [
            "referendum",
            "referendum",
            "referendum",
            "scheduled",
            "call-failed"
        ]
    );
    let text = w.text("v2", "call-failed", "discord-upgrades").await;
    assert!(
        text.contains("FailedToExtractRuntimeVersion") && text.contains("The old runtime runs on"),
        "{text}"
    );
    let kept: Vec<String> = w
        .store
        .facts()
        .await
        .unwrap()
        .iter()
        .map(|f| f.detail())
        .collect();
    assert!(kept.iter().all(|d| d.starts_with('7')), "{kept:?}");
}

#[tokio::test]
async fn offline_signers_hear_of_a_new_transaction_version_once() {
    let w = World::new(&["people", "relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["people", "relay"])]).await;
    for chain in ["people", "relay"] {
        w.block_with(chain, 2, &[], |b| b.transaction_version = 2)
            .await;
    }
    let told = w.told("v2", "discord-upgrades").await;
    assert_eq!(
        told.iter().filter(|t| *t == "signers").count(),
        1,
        "{told:?}"
    );
    assert!(
        w.text("v2", "signers", "discord-upgrades")
            .await
            .contains("1 to 2")
    );
}

#[tokio::test]
async fn authorized_code_that_nobody_applies_is_asked_about() {
    let w = World::new(&["relay"], |plan| plan.limits.unapplied_after = 20).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    for _ in 0..40 {
        w.block("relay", 1, &[]).await;
    }
    assert_eq!(w.told("v2", "discord-operations").await, ["op-unapplied"]);
    // Another code takes its place, and its time begins anew.
    w.block("relay", 1, &[authorized("0xbb")]).await;
    for _ in 0..40 {
        w.block("relay", 1, &[]).await;
    }
    assert_eq!(
        w.told("v2", "discord-operations").await,
        ["op-unapplied", "op-unapplied"]
    );
}
