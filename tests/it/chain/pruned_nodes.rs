//! The watcher over a pretended node that forgets: what it can't see is passed over and nothing else.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    adapters::store::SqlStore,
    config::Origin,
    domain::{
        campaign::{
            Campaign,
            progress::State,
            upgrade::{Target, Upgrade},
        },
        chain::{
            block::{Block, ChainEvent},
            memory::Memory,
            observation::{EndpointSight, Sight},
        },
    },
    lint,
    outbox::Core,
    ports::{Batch, Chain, ChainError, Head, Store},
    rehearsal::SteppedClock,
    watch::watcher::Watcher,
    words::snapshot::ConfigSnapshot,
};

/// When block 0 was, in seconds.
pub const GENESIS: i64 = 1_800_000_000;

/// Authorized in block 20, new code in block 50 (or where they are set): version 1 up to there, 2 behind it.
pub struct Forgetful {
    head: AtomicU64,
    /// Seconds between blocks.
    spacing: u32,
    authorized: u64,
    upgraded: AtomicU64,
    /// For how many seconds nobody has reached it; negative where it answers.
    away: AtomicI64,
    /// Older blocks' state is gone.
    oldest: AtomicU64,
    calls: AtomicU64,
}

impl Forgetful {
    /// At its first block.
    pub fn fresh() -> Self {
        Self::with_blocks(6, 20, 50)
    }

    pub fn with_blocks(spacing: u32, authorized: u64, upgraded: u64) -> Self {
        let (head, oldest, calls) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
        Self {
            head,
            spacing,
            authorized,
            upgraded: AtomicU64::new(upgraded),
            away: AtomicI64::new(-1),
            oldest,
            calls,
        }
    }

    pub fn set_away(&self, for_seconds: Option<i64>) {
        self.away
            .store(for_seconds.unwrap_or(-1), Ordering::Relaxed);
    }

    pub fn time(&self, number: u64) -> Timestamp {
        Timestamp::from_second(
            GENESIS + i64::try_from(number).unwrap_or(0) * i64::from(self.spacing),
        )
        .expect("a time near now")
    }

    /// Finalized up to this block by now.
    pub fn grow(&self, head: u64) {
        self.head.store(head, Ordering::Relaxed);
    }
}

#[async_trait]
impl Chain for Forgetful {
    async fn head(&self, _known: Option<&Memory>) -> Result<Head, ChainError> {
        if self.away.load(Ordering::Relaxed) >= 0 {
            return Err(ChainError::Unreachable("the node can't be reached".into()));
        }
        Ok(Head {
            genesis: "0x00".into(),
            number: self.head.load(Ordering::Relaxed),
            hash: String::new(),
            rewritten: false,
            lag: 0,
        })
    }

    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.oldest.load(Ordering::Relaxed) {
            return Err(ChainError::Gone("State already discarded".into()));
        }
        let upgraded = self.upgraded.load(Ordering::Relaxed);
        let name = match number {
            n if n == self.authorized => "UpgradeAuthorized",
            n if n == upgraded => "CodeUpdated",
            _ => "Other",
        };
        Ok(Block {
            number,
            hash: format!("0x{number:02x}"),
            time: Some(self.time(number)),
            spec_version: if number >= upgraded { 2 } else { 1 },
            transaction_version: 1,
            proven_version: Some(if number > upgraded { 2 } else { 1 }),
            authorized: (self.authorized..upgraded)
                .contains(&number)
                .then(|| "0xaa".to_owned()),
            events: vec![ChainEvent {
                pallet: "System".into(),
                name: name.into(),
                fields: serde_json::json!({ "code_hash": "0xaa" }),
            }],
            ..Block::default()
        })
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.oldest.load(Ordering::Relaxed) {
            return Err(ChainError::Gone("State already discarded".into()));
        }
        Ok(if number > self.upgraded.load(Ordering::Relaxed) {
            2
        } else {
            1
        })
    }

    async fn code_hash(&self, _number: u64) -> Result<Option<String>, ChainError> {
        Ok(None)
    }

    async fn enactment(&self, _number: u64, _referendum: u32) -> Result<Option<u64>, ChainError> {
        Ok(None)
    }

    fn sight(&self) -> Sight {
        let (head, away) = (
            self.head.load(Ordering::Relaxed),
            self.away.load(Ordering::Relaxed),
        );
        let trouble = (away >= 0).then(|| "the node can't be reached".to_owned());
        let unseen = SignedDuration::from_secs(away.max(0));
        Sight {
            endpoints: vec![EndpointSight {
                head,
                answers: away < 0,
                trouble,
                ..EndpointSight::default()
            }],
            unseen,
            lag: None,
        }
    }

    async fn doubt(&self) {}

    async fn changed(&self) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

struct Scene {
    node: Arc<Forgetful>,
    watcher: Watcher,
    store: Arc<dyn Store>,
}

/// Upgrades of one chain with these ids and targets, seen from block 1 on.
async fn scene(upgrades: &[(&str, u32)]) -> Scene {
    let loaded = lint::load(&Origin::Embedded).unwrap();
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
    let node = Arc::new(Forgetful::fresh());
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
