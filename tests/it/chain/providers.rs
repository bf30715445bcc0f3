//! What providers refuse: methods, large answers, more than a few requests a second. An upgrade is told nonetheless.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tempfile::TempDir;
use tokio::time::sleep;
use upgrade_herald::{
    adapters::node::Node,
    config::Origin,
    lint::{self, Loaded},
    ports::Chain,
};

use super::faults::{CHAIN, Herald};
use crate::doubles::node::{
    Endpoint, MethodFault, Script, Step, SyntheticChain, Unreadable, code_hash, version,
};

/// The longest time from the proof to the word, with what it takes to connect.
const IN_TIME: Duration = Duration::from_secs(120);
const BLOCK_EVERY: Duration = Duration::from_millis(300);
/// Blocks of a chain: as many as come until the test gives up.
const BLOCKS: u64 = 1_000;
const AUTHORIZED: u64 = 4;
const UPDATED: u64 = 7;
const PROVEN: u64 = UPDATED + 1;

/// The methods that herald asks for, and those that it asks in their place.
const METHODS: [&str; 13] = [
    "rpc_methods",
    "chain_getBlockHash",
    "chain_getFinalizedHead",
    "chain_getHeader",
    "chain_subscribeFinalizedHeads",
    "state_call",
    "state_call Core_version",
    "state_call Metadata_metadata_at_version",
    "state_getStorage",
    "state_getStorageHash",
    "state_queryStorageAt",
    "chain_getBlock",
    "state_getRuntimeVersion",
];
const FAULTS: [MethodFault; 6] = [
    MethodFault::Absent,
    MethodFault::Refused,
    MethodFault::TooBig,
    MethodFault::Silent,
    MethodFault::WrongType,
    MethodFault::OverLimit,
];

pub(super) fn loaded() -> Arc<Loaded> {
    Arc::new(lint::load(&Origin::Embedded).unwrap_or_else(|f| panic!("{f:?}")))
}

async fn node(blocks: u64) -> Endpoint {
    let steps = vec![
        (AUTHORIZED, Step::Authorize(code_hash(version(1)))),
        (UPDATED, Step::Upgrade(version(1))),
    ];
    let script = Script {
        blocks,
        steps,
        ..Script::default()
    };
    Endpoint::start(SyntheticChain::new(script)).await
}

/// herald on a store in a file, which is there until the second value is dropped.
async fn herald(loaded: Arc<Loaded>, node: &Endpoint) -> (Herald, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("sqlite://{}", dir.path().join("herald.db").display());
    let herald = Herald::on(&address, loaded, version(1), vec![node.url()]).await;
    (herald, dir)
}

/// What herald has told of the upgrade, as kind and block.
async fn told(herald: &Herald) -> BTreeSet<(String, u64)> {
    let facts = herald.store.facts().await.unwrap();
    facts
        .iter()
        .filter(|fact| fact.chain == CHAIN)
        .map(|fact| (fact.kind().name().to_owned(), fact.block))
        .collect()
}

fn facts(shown: &[(&str, u64)]) -> BTreeSet<(String, u64)> {
    shown
        .iter()
        .map(|(kind, block)| ((*kind).to_owned(), *block))
        .collect()
}

/// Lets herald follow a node, as the process does: after an error it waits longer each time. The chain goes on by the
/// clock once herald has seen it. Returns how long it took from the proof until herald told that the upgrade is applied.
async fn follow(herald: &Herald, node: &Endpoint, last: u64) -> Option<Duration> {
    let (mut failures, mut seen) = (0_u32, None);
    let begun = Instant::now();
    while begun.elapsed() < IN_TIME * 2 {
        if let Some(seen) = seen {
            node.advance_to(head(seen).min(last));
        }
        let (watcher, _) = herald.up.as_ref()?;
        let pause = match watcher.tick(CHAIN).await {
            Ok(_) => {
                failures = 0;
                seen.get_or_insert_with(Instant::now);
                BLOCK_EVERY / 3
            }
            Err(_) => {
                failures += 1;
                Duration::from_secs(1 << (failures - 1).min(5))
            }
        };
        let told = told(herald).await;
        if told.iter().any(|(kind, _)| kind == "applied") {
            let proven = seen? + BLOCK_EVERY * u32::try_from(PROVEN).ok()?;
            return Some(proven.elapsed());
        }
        sleep(pause).await;
    }
    None
}

/// The newest block of a chain that has gone on since then.
fn head(since: Instant) -> u64 {
    1 + u64::try_from(since.elapsed().as_millis() / BLOCK_EVERY.as_millis()).unwrap_or(0)
}

/// Each method fails in each way, with a single endpoint, from the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_method_is_needed_and_none_makes_herald_tell_a_lie() {
    let loaded = loaded();
    let cells = METHODS
        .iter()
        .flat_map(|method| FAULTS.map(|fault| (*method, fault)));
    let play = async |method, fault| {
        let node = node(BLOCKS).await;
        node.fail(method, fault);
        let (herald, _dir) = herald(loaded.clone(), &node).await;
        let took = follow(&herald, &node, BLOCKS).await;
        (method, fault, took, told(&herald).await)
    };
    let cells = cells.map(async |(method, fault)| play(method, fault).await);
    let is_in_time = |took: Option<Duration>| took.is_some_and(|took| took < IN_TIME);
    let (mut wrong, mut longest) = (Vec::new(), Duration::ZERO);
    for (method, fault, mut took, mut told) in join_all(cells).await {
        if took.is_some() && !is_in_time(took) {
            // On a busy machine many at once take longer than one: that says nothing of herald.
            (_, _, took, told) = play(method, fault).await;
        }
        longest = longest.max(took.unwrap_or_default());
        let in_time = is_in_time(took);
        let truth = facts(&[
            ("authorized", AUTHORIZED),
            ("code_updated", UPDATED),
            ("applied", PROVEN),
        ]);
        if !in_time || told != truth {
            wrong.push(format!("{method} {fault:?}: {took:?}, told {told:?}"));
        }
    }
    println!("the longest time from the proof to the word: {longest:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The new runtime's metadata can't be had by any means: what the state proves is told all the same.
#[tokio::test]
async fn without_metadata_the_state_is_told() {
    let node = node(BLOCKS).await;
    for method in [
        "state_call Metadata_metadata",
        "state_call Metadata_metadata_at_version",
        "state_getMetadata",
    ] {
        node.fail(method, MethodFault::TooBig);
    }
    let (herald, _dir) = herald(loaded(), &node).await;
    let took = follow(&herald, &node, BLOCKS).await;
    let mut told = told(&herald).await;
    assert!(
        took.is_some_and(|took| took < IN_TIME),
        "{took:?}, {told:?}"
    );
    told.retain(|(kind, _)| kind != "unexamined");
    assert_eq!(
        told,
        facts(&[("authorized", AUTHORIZED), ("applied", PROVEN)])
    );
}

/// A node that knows no block by its number, after an absence of more blocks than are walked back.
#[tokio::test]
async fn an_absence_is_read_over_where_no_block_is_known_by_its_number() {
    let node = node(BLOCKS).await;
    node.fail("chain_getBlockHash", MethodFault::Absent);
    let (mut herald, _dir) = herald(loaded(), &node).await;
    assert!(herald.tick_until(1, IN_TIME).await);
    herald.stop();
    node.advance_to(400);
    herald.start();
    assert!(herald.tick_until(400, IN_TIME).await);
    let told = told(&herald).await;
    assert!(told.iter().any(|(kind, _)| kind == "applied"), "{told:?}");
    assert!(
        told.iter().any(|(kind, _)| kind == "unexamined"),
        "{told:?}"
    );
}

/// A block whose events or whose state can't be had is named, and what the state proves is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_block_hides_what_the_state_proves() {
    let loaded = loaded();
    let ways = [
        Unreadable::Events,
        Unreadable::BigEvents,
        Unreadable::HugeEvents,
        Unreadable::State,
    ];
    let blocks = [AUTHORIZED, AUTHORIZED + 1, UPDATED, PROVEN];
    let cells = ways
        .iter()
        .flat_map(|how| blocks.map(|block| (*how, block)));
    let cells = cells.map(async |(how, block)| {
        let node = node(BLOCKS).await;
        node.make_unreadable(block, how);
        let (herald, _dir) = herald(loaded.clone(), &node).await;
        let took = follow(&herald, &node, BLOCKS).await;
        (how, block, took, told(&herald).await)
    });
    let mut wrong = Vec::new();
    for (how, block, took, told) in join_all(cells).await {
        let applied = told.iter().filter(|(kind, _)| kind == "applied").count();
        let named = told.iter().any(|(kind, _)| kind == "unexamined");
        let authorized = told.iter().any(|(kind, _)| kind == "authorized");
        let in_time = took.is_some_and(|took| took < IN_TIME);
        // What stood in the state until the code was set may be gone when the state is read again.
        let may_miss = how == Unreadable::State && block == AUTHORIZED;
        if applied != 1 || !named || !in_time || !(authorized || may_miss) {
            wrong.push(format!("{how:?} in block {block}: {took:?}, told {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Five requests a second: herald becomes slower, tells all, and says why it is slow.
#[tokio::test]
async fn a_limit_on_requests_is_kept_to_and_named() {
    let node = node(BLOCKS).await;
    let (herald, _dir) = herald(loaded(), &node).await;
    node.limit(5);
    assert!(
        follow(&herald, &node, BLOCKS)
            .await
            .is_some_and(|took| took < IN_TIME)
    );
    let (_, client) = herald.up.as_ref().unwrap();
    let interval = client.sight().endpoints[0].interval;
    assert!(interval.is_some(), "operators learn why");
    let (served, refused) = (node.counts().total(), node.over_limit());
    assert!(refused * 4 < served, "{refused} of {served} were refused");
}

/// Three hundred blocks behind, with twenty requests a second, herald is faster than a chain of two-second blocks.
#[tokio::test]
async fn behind_a_limit_herald_catches_up() {
    let node = node(400).await;
    let (herald, _dir) = herald(loaded(), &node).await;
    assert!(herald.tick_until(1, IN_TIME).await);
    node.advance_to(301);
    node.limit(20);
    let begun = Instant::now();
    assert!(herald.tick_until(301, IN_TIME * 4).await);
    let blocks_a_second = 300.0 / begun.elapsed().as_secs_f64();
    let requests = node.counts().total() as f64 / 300.0;
    assert!(requests < 5.0, "{requests} requests a block");
    assert!(blocks_a_second > 0.5, "{blocks_a_second} blocks a second");
}

/// A provider that has too many connections is asked again a little later.
#[tokio::test]
async fn a_connection_that_is_refused_as_one_too_many_is_tried_again() {
    let node = node(10).await;
    node.refuse_as_too_many(2);
    let client = Node::new(vec![node.url()]);
    assert_eq!(client.head(None).await.unwrap().number, 1);
    node.refuse_as_too_many(100);
    node.drop_connections();
    let other = Node::new(vec![node.url()]);
    let error = other.head(None).await.unwrap_err().to_string();
    assert!(error.contains("HTTP 429"), "{error}");
}
