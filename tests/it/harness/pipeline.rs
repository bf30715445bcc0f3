//! The pipeline in one process: planner, watcher, gate and dispatcher over scripted chains, rooms in memory and a stepped clock.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use upgrade_herald::{
    adapters::{room::Room, store::SqlStore},
    config::{Plan, SourceFile, UpgradeFile},
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    domain::{
        campaign::{
            progress::State,
            upgrade::{Target, Upgrade},
        },
        chain::{
            block::{Block, ChainEvent},
            observation::{EndpointSight, Sight},
        },
        outbox::{Operation, Post, PostState},
        plan::notice::{LatePolicy, MissedPolicy, Notice},
    },
    outbox::Core,
    plan::planner::Planner,
    ports::{Chain, Clock, Outlet, Store},
    rehearsal::SteppedClock,
    watch::watcher::Watcher,
    words::snapshot::ConfigSnapshot,
};

use crate::harness::{chains::ScriptedChain, plans::every_notice};

/// herald's planner, watcher, gate and dispatcher in this process, a step at a time.
pub struct Pipeline {
    pub core: Arc<Core>,
    pub clock: Arc<SteppedClock>,
    pub store: Arc<dyn Store>,
    pub chains: BTreeMap<String, Arc<ScriptedChain>>,
    pub watcher: Watcher,
    pub dispatcher: Dispatcher,
    pub gate: Gate,
    pub sample: Upgrade,
}

fn nodes(chains: &BTreeMap<String, Arc<ScriptedChain>>) -> BTreeMap<String, Arc<dyn Chain>> {
    chains
        .iter()
        .map(|(n, c)| (n.clone(), c.clone() as Arc<dyn Chain>))
        .collect()
}

fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

impl Pipeline {
    /// Chains of these names, followed from an hour before the sample's window on; the plan as `change` makes it.
    pub async fn new(names: &[&str], change: impl FnOnce(&mut Plan)) -> Self {
        Self::build(names, change, |_| {}).await
    }

    pub async fn build(
        names: &[&str],
        change: impl FnOnce(&mut Plan),
        change_core: impl FnOnce(&mut Core),
    ) -> Self {
        let mut loaded = every_notice();
        // What is said when an upgrade is accepted, and long after it, would stand in every story.
        let at_once = ["window-set", "op-missed"];
        let chatter =
            |n: &Notice| n.board || at_once.contains(&n.id.as_str()) || !n.delay.is_zero();
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
            notice.if_missed = MissedPolicy::Skip;
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
        let chains: BTreeMap<String, Arc<ScriptedChain>> = names
            .iter()
            .map(|n| (n.to_string(), Arc::new(ScriptedChain::default())))
            .collect();
        let pipeline = Self {
            watcher: Watcher::new(core.clone(), nodes(&chains)),
            dispatcher: Dispatcher::new(core.clone()),
            gate: Gate::new(core.clone()),
            core,
            clock,
            store,
            chains,
            sample,
        };
        for chain in pipeline.chains.keys() {
            pipeline.block(chain, 1, &[]).await;
        }
        pipeline
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
