//! The watcher over a pretended node that forgets: what it can't see is passed over and nothing else.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use upgrade_herald::{
    adapters::store::SqlStore,
    domain::campaign::{
        Campaign,
        progress::State,
        upgrade::{Target, Upgrade},
    },
    outbox::Core,
    ports::{Batch, Chain, Store},
    rehearsal::SteppedClock,
    watch::watcher::Watcher,
    words::snapshot::ConfigSnapshot,
};

use crate::harness::{chains::PrunedChain, plans::every_notice};

struct Scene {
    node: Arc<PrunedChain>,
    watcher: Watcher,
    store: Arc<dyn Store>,
}

/// Upgrades of one chain with these ids and targets, seen from block 1 on.
async fn scene(upgrades: &[(&str, u32)]) -> Scene {
    let loaded = every_notice();
    let sample: Upgrade = loaded.config.upgrades[0].upgrade.clone();
    let clock = Arc::new(SteppedClock::new(sample.window.opens));
    let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await.unwrap());
    let campaign = upgrades.iter().map(|(id, version)| {
        let chains = [(
            "relay".to_owned(),
            Target {
                spec_version: *version,
                code_hash: None,
            },
        )]
        .into();
        let upgrade = Upgrade {
            id: (*id).to_owned(),
            chains,
            ..sample.clone()
        };
        Campaign::new(upgrade, sample.window.opens)
    });
    store
        .commit(Batch {
            upgrades: campaign.collect(),
            ..Batch::default()
        })
        .await
        .unwrap();
    let core = Arc::new(Core::new(
        ConfigSnapshot {
            config: loaded.config,
            renderer: loaded.renderer,
        },
        BTreeMap::new(),
        clock,
        store.clone(),
    ));
    let node = Arc::new(PrunedChain::fresh());
    let watcher = Watcher::new(
        core,
        [("relay".to_owned(), node.clone() as Arc<dyn Chain>)].into(),
    );
    watcher.tick("relay").await.unwrap();
    Scene {
        node,
        watcher,
        store,
    }
}

impl Scene {
    async fn facts(&self) -> Vec<String> {
        self.store
            .facts()
            .await
            .unwrap()
            .iter()
            .map(|f| format!("{} {}", f.kind().name(), f.block))
            .collect()
    }

    async fn notices(&self, upgrade: &str) -> Vec<String> {
        let mut notices: Vec<String> = self
            .store
            .posts(upgrade)
            .await
            .unwrap()
            .into_iter()
            .map(|p| p.notice)
            .collect();
        notices.dedup();
        notices
    }
}

#[tokio::test]
async fn what_a_node_has_pruned_is_passed_over_and_the_rest_is_read() {
    let s = scene(&[("v2", 2)]).await;
    s.node.head.store(90, Ordering::Relaxed);
    s.node.oldest.store(41, Ordering::Relaxed);
    s.node.calls.store(0, Ordering::Relaxed);
    s.watcher.tick("relay").await.unwrap();
    // Block 20 can't be seen any more, but what it did stands in the state of block 41.
    assert_eq!(
        s.facts().await,
        [
            "unexamined 41",
            "authorized 41",
            "code_updated 50",
            "applied 51"
        ]
    );
    let calls = s.node.calls.load(Ordering::Relaxed);
    assert!(
        calls <= 50 + 10,
        "found by halving: {calls} calls for 50 blocks"
    );
}

#[tokio::test]
async fn a_gap_over_everything_still_knows_what_runs() {
    let s = scene(&[("v2", 2)]).await;
    s.node.head.store(90, Ordering::Relaxed);
    s.node.oldest.store(90, Ordering::Relaxed);
    s.watcher.tick("relay").await.unwrap();
    assert_eq!(s.facts().await, ["unexamined 90", "applied 90"]);
    assert_eq!(
        s.store.upgrades().await.unwrap()[0].progress.state,
        State::Applied
    );
}

#[tokio::test]
async fn of_two_upgrades_on_a_chain_the_nearer_one_is_meant() {
    let s = scene(&[("v3", 3), ("v2", 2)]).await;
    s.node.head.store(60, Ordering::Relaxed);
    s.watcher.tick("relay").await.unwrap();
    assert_eq!(s.notices("v2").await, ["authorized", "applied"]);
    assert!(
        s.notices("v3").await.is_empty(),
        "{:?}",
        s.notices("v3").await
    );
}

#[tokio::test]
async fn after_a_long_absence_the_calls_grow_with_the_logarithm() {
    for missed in [10_000_u64, 100_000, 1_000_000] {
        let s = scene(&[("v2", 2)]).await;
        s.node.head.store(missed, Ordering::Relaxed);
        s.node.upgraded.store(missed * 2 / 3, Ordering::Relaxed);
        s.node.calls.store(0, Ordering::Relaxed);
        s.watcher.tick("relay").await.unwrap();
        let (at, calls) = (missed * 2 / 3, s.node.calls.load(Ordering::Relaxed));
        // The authorization is seen where reading began again; the upgrade in its very blocks.
        let facts = s.facts().await;
        let expected = [
            format!("authorized {at}"),
            format!("code_updated {at}"),
            format!("applied {}", at + 1),
        ];
        assert_eq!(
            facts
                .iter()
                .filter(|f| !f.starts_with("authorized") && !f.starts_with("unexamined"))
                .cloned()
                .collect::<Vec<_>>(),
            expected[1..],
            "{missed}: {facts:?}"
        );
        let most = 2 * u64::from(missed.ilog2() + 1) + 20;
        assert!(
            calls <= most,
            "{calls} calls for {missed} blocks, at the most {most}"
        );
        // A leap is not called a gap in the chain.
        let progress = &s.store.upgrades().await.unwrap()[0].progress;
        assert_eq!(
            progress.chains["relay"].health.as_ref().unwrap().restarts,
            0
        );
    }
}

#[tokio::test]
async fn an_upgrade_right_behind_the_remembered_block_is_read_from_its_events() {
    for upgraded in [1, 2, 3] {
        let s = scene(&[("v2", 2)]).await;
        s.node.upgraded.store(upgraded, Ordering::Relaxed);
        s.node.head.store(10_000, Ordering::Relaxed);
        s.watcher.tick("relay").await.unwrap();
        let expected = [
            format!("code_updated {upgraded}"),
            format!("applied {}", upgraded + 1),
        ];
        // Block 1 was read before anything was known of it.
        let mut facts = s.facts().await;
        facts.retain(|f| !f.starts_with("unexamined"));
        assert_eq!(facts, expected[usize::from(upgraded == 1)..], "{upgraded}");
    }
}
