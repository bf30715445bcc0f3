//! What an upgrade has set in motion is told, and "verified" waits for it.

use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::json;
use upgrade_herald::{
    adapters::node::Node,
    domain::{
        campaign::progress::{Awaited, State},
        chain::{
            block::Block,
            fact::Fact,
            fact_kind::FactKind,
            pending::{ConfigurationChange, PendingChanges, PendingConfiguration, SessionClock},
        },
    },
    ports::{Chain, Clock},
};

use crate::{
    chain::{faults::Herald, providers::loaded},
    harness::pipeline::{Pipeline, authorized},
    support::{Devnet, DevnetOptions, installed, skip},
};

/// Ten minutes of blocks, as long as the sample plan wants a chain to be healthy.
const HEALTHY_BLOCKS: usize = 100;

/// A relay in session 7, for which a configuration is pending: session 9 switches node feature 7 on.
fn node_feature(w: &Pipeline) -> PendingChanges {
    PendingChanges {
        sessions: Some(SessionClock {
            current: 7,
            next: w
                .clock
                .now()
                .checked_add(SignedDuration::from_hours(1))
                .unwrap(),
            length: 3600,
        }),
        next_era: None,
        configurations: vec![PendingConfiguration {
            session: 9,
            changes: vec![
                ConfigurationChange::NodeFeature {
                    number: 7,
                    on: true,
                },
                ConfigurationChange::Value {
                    name: "scheduler_params.num_cores".into(),
                    from: "66".into(),
                    to: "70".into(),
                },
            ],
        }],
        calls: vec![150],
    }
}

/// Blocks of a session, each read as it comes.
async fn blocks(w: &Pipeline, number: usize, session: u32) {
    for _ in 0..number {
        in_session(w, 2, session).await;
    }
}

async fn in_session(w: &Pipeline, version: u32, session: u32) {
    let set = |block: &mut Block| block.session = Some(session);
    w.block_with("relay", version, &[], set).await;
}

/// As on Kusama on 9 May 2025: the upgrade goes well, and a node feature follows two sessions later.
#[tokio::test]
async fn a_pending_configuration_is_told_and_the_all_clear_waits_for_it() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    *w.chains["relay"].pending.lock().unwrap() = Some(node_feature(&w));
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    in_session(&w, 2, 7).await;
    let told = async || w.told("v2", "discord-upgrades").await;
    assert_eq!(
        told().await,
        ["authorized", "applied", "applied thread", "changes-pending"]
    );
    let text = w.text("v2", "changes-pending", "discord-upgrades").await;
    insta::assert_snapshot!(text, @r##"
    ## Paseo runtime 2.3.1: changes still to come
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    The new runtime runs. These changes have been scheduled and take effect later:

    - relay, with session 9, about <t:1804601406:F> · Tue 9 Mar 2027, 15:10 CET (14:10 UTC): node feature 7 is switched on; `scheduler_params.num_cores` from 66 to 70
    - relay, with block 150: a call that is new in the scheduler

    "Verified" comes 10 minutes after this, at the earliest: session 9 on relay (about <t:1804601406:F> · Tue 9 Mar 2027, 15:10 CET (14:10 UTC)).

    - **Validators** — a node that is too old may fail when a change takes effect. If yours must be updated, do it before.
    - **Developers** — see whether your tools rely on a value that changes.
    - **Users** — nothing to do for these changes.

    Trouble? **/upgrade help version**

    <@&1100000000000000011>
    "##);
    blocks(&w, 600, 7).await;
    blocks(&w, 600, 8).await;
    assert_eq!(w.state("v2").await, State::Applied);
    let text = w.text("v2", "applied", "discord-upgrades").await;
    insta::assert_snapshot!(text, @r##"
    ## Paseo runtime 2.3.1: applied, being verified
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    - relay runs `spec_version` **2**, proven in block **102**

    We now watch blocks, finality and transactions for 10 minutes. The time counts once what is still to come is over; **/upgrade status** names it. This is not yet the all-clear.

    - **Validators** — keep your node running, and look whether it follows.
    - **Developers** — take the new metadata, and see that your tools read it.
    - **Users** — better wait with transactions until "verified".

    **How is it for you?** React here, or reply in the thread:

    - 👍 all fine
    - ⚠️ a problem
    - ❓ a question

    Trouble? **/upgrade help version**
    "##);
    // With the session that brings it, the ten minutes begin.
    blocks(&w, HEALTHY_BLOCKS - 1, 9).await;
    assert_eq!(w.state("v2").await, State::Applied);
    blocks(&w, 1, 9).await;
    assert_eq!(w.state("v2").await, State::Verified);
    let operators = w.told("v2", "discord-operations").await;
    assert!(operators.is_empty(), "{operators:?}");
}

#[tokio::test]
async fn what_is_awaited_is_what_the_plan_says() {
    type Case = (Vec<Awaited>, fn(&mut Block), usize);
    let in_next = |block: &mut Block| block.session = Some(8);
    let migrating = |block: &mut Block| (block.session, block.migrating) = (Some(7), true);
    let cases: [Case; 8] = [
        (vec![], |block| block.session = Some(7), 1),
        (vec![Awaited::Session], |block| block.session = Some(7), 0),
        (vec![Awaited::Session], in_next, 1),
        // A block whose state does not tell the session says nothing of it.
        (vec![Awaited::Session], |_| {}, 0),
        (vec![Awaited::Era], in_next, 0),
        (vec![Awaited::Era], |block| block.era = Some(4), 1),
        (vec![Awaited::Migrations], migrating, 0),
        (vec![Awaited::PendingConfig], in_next, 1),
    ];
    for (n, (after, change, verified)) in cases.into_iter().enumerate() {
        let w = Pipeline::new(&["relay"], |plan| plan.rules.after = after).await;
        w.plan(&[w.upgrade("v2", &["relay"])]).await;
        let first = |block: &mut Block| (block.session, block.era) = (Some(7), Some(3));
        w.block_with("relay", 2, &[], first).await;
        for _ in 0..HEALTHY_BLOCKS {
            w.block_with("relay", 2, &[], change).await;
        }
        let told = w.told("v2", "discord-upgrades").await;
        let count = told.iter().filter(|notice| *notice == "verified").count();
        assert_eq!(count, verified, "case {n}: {told:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_does_not_come_is_told_to_operators() {
    // Not read: never an all-clear, until it is.
    let w = Pipeline::new(&["relay"], |_| {}).await;
    *w.chains["relay"].pending.lock().unwrap() = None;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    in_session(&w, 2, 7).await;
    blocks(&w, 3 * HEALTHY_BLOCKS + 1, 7).await;
    assert_eq!(w.state("v2").await, State::Applied);
    let why = async |w: &Pipeline| w.text("v2", "op-unverified", "discord-operations").await;
    let text = why(&w).await;
    let reason = "the changes that follow the upgrade could not be read";
    assert!(text.contains(reason), "{text}");
    *w.chains["relay"].pending.lock().unwrap() = Some(PendingChanges::default());
    w.see("relay", &[(true, 5), (true, 5)], 0);
    w.observe("relay").await;
    blocks(&w, HEALTHY_BLOCKS, 7).await;
    assert_eq!(w.state("v2").await, State::Verified);

    // Read, and the session does not come when it should.
    let w = Pipeline::new(&["relay"], |_| {}).await;
    *w.chains["relay"].pending.lock().unwrap() = Some(node_feature(&w));
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    in_session(&w, 2, 7).await;
    blocks(&w, 1200, 7).await;
    assert_eq!(why(&w).await, "", "session 9 is to begin after two hours");
    blocks(&w, 301, 7).await;
    let text = why(&w).await;
    assert!(text.contains("session 9 has not begun"), "{text}");
}

/// Blocks are read ahead side by side. What one of them holds must not keep the question of what follows the upgrade.
#[tokio::test]
async fn what_is_read_ahead_does_not_hold_up_the_question() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    *w.chains["relay"].slow.lock().unwrap() = true;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    for version in [1, 1, 2, 2, 2, 2, 2, 2] {
        w.step(6);
        w.push("relay", version, &[], |block| block.session = Some(7));
    }
    let read = tokio::time::timeout(Duration::from_secs(60), w.watcher.tick("relay")).await;
    assert_eq!(read.expect("an end").unwrap(), 8);
    let campaign = w.core.campaign("v2").await.unwrap().unwrap();
    let pending = campaign.progress.chains["relay"].pending();
    assert_eq!(pending, Some(&PendingChanges::default()));
}

/// Paseo's own runtime is executed. Its state says that version 1001001 has run, so the next block is an upgrade to it, and
/// in that block root sets a value, which the runtime itself makes a pending configuration.
#[tokio::test]
async fn a_real_relays_pending_configuration_is_read_and_told() -> Result<()> {
    let Ok(paseo) = installed("HERALD_TEST_PASEO") else {
        skip("there is no genesis of Paseo here (tests/run --setup fetches it)");
        return Ok(());
    };
    let chain = Devnet::start(DevnetOptions {
        spec: paseo.join("paseo.json"),
        ..DevnetOptions::default()
    })
    .await?;
    let state = [
        (SESSION_INDEX, "0x07000000"),
        (PARAS_SESSION_INDEX, "0x07000000"),
        // 1001001 as a compact number, and "paseo"
        (LAST_RUNTIME_UPGRADE, "0xa6183d0014706173656f"),
    ];
    chain.call("dev_setStorage", json!([state])).await?;
    let dir = tempfile::tempdir()?;
    let store = format!("sqlite://{}", dir.path().join("herald.db").display());
    let urls = vec![chain.url().to_owned()];
    let herald = Herald::on(&store, loaded(), 1_001_002, urls.clone()).await;
    herald.tick().await;
    chain
        .sudo(json!(["configuration", "setMaxCodeSize", 2_000_000]))
        .await?;
    for _ in 0..200 {
        let facts = herald.facts().await;
        if facts
            .iter()
            .any(|fact| fact.kind() == FactKind::ChangesPending)
        {
            break;
        }
        herald.tick().await;
    }
    let facts = herald.facts().await;
    let told = |fact: &Fact| format!("{} {}", fact.kind().name(), fact.detail());
    let told: Vec<String> = facts.iter().map(told).collect();
    let pending = "changes_pending session 9: max_code_size from 3145728 to 2000000";
    assert_eq!(told, ["applied from 1001001", pending]);
    let posts = herald.store.posts("v2").await?;
    assert!(
        posts.iter().any(|post| post.notice == "changes-pending"),
        "{posts:?}"
    );

    // A call that the scheduler takes in a later block is told by its block, as the parent has none.
    chain
        .sudo(json!(["scheduler", "schedule", 600, null, 0, "0x00000400"]))
        .await?;
    let node = Node::new(urls);
    let head = node.head(None).await?;
    let pending = node.pending_changes(head.number).await?;
    assert_eq!(pending.calls, [600]);
    let clock = pending.sessions.expect("BABE's clock");
    assert_eq!((clock.current, clock.length), (7, 3600));
    let block = node.block(head.number).await?;
    assert_eq!(block.session, Some(7));
    let left = clock.next.duration_since(block.time.expect("a time"));
    assert!(
        left > SignedDuration::ZERO && left <= SignedDuration::from_hours(1),
        "{left:?}"
    );
    Ok(())
}

const SESSION_INDEX: &str = "0xcec5070d609dd3497f72bde07fc96ba072763800a36a99fdfc7c10f6415f6ee6";
const PARAS_SESSION_INDEX: &str =
    "0xb341e3a63e58a188839b242d17f8c9f8b5cab3380174032968897a4c3ce57c0a";
const LAST_RUNTIME_UPGRADE: &str =
    "0x26aa394eea5630e07c48ae0c9558cef7f9cce9c888469bb1a0dceaa129672ef8";
