//! Corners that a review found: what happens at the same time, too late, or halfway.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use upgrade_herald::{
    domain::{
        campaign::{
            progress::State,
            upgrade::{Referendum, Target, Upgrade},
        },
        chain::block::{Block, Kin},
    },
    outbox::Core,
};

use crate::harness::pipeline::{Pipeline, authorized};

async fn catching_up(
    see: &[(bool, i64)],
    unseen: i64,
    then: &[(bool, i64)],
) -> (Vec<String>, Vec<String>) {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.see("relay", see, unseen);
    w.observe("relay").await;
    for _ in 0..40 {
        w.step(6);
        w.push("relay", 1, &[], |_| {});
    }
    *w.chains["relay"].slow.lock().unwrap() = true;
    w.see(
        "relay",
        then,
        if then.iter().all(|t| !t.0) { 400 } else { 0 },
    );
    let looking = async {
        for _ in 0..6 {
            tokio::time::sleep(std::time::Duration::from_millis(90)).await;
            w.watcher.observe("relay").await.unwrap();
        }
    };
    let (read, ()) = tokio::join!(w.watcher.tick("relay"), looking);
    read.unwrap();
    w.settle().await;
    (
        w.told("v2", "discord-upgrades").await,
        w.told("v2", "discord-operations").await,
    )
}

#[tokio::test]
async fn a_stall_that_is_over_is_told_once_while_blocks_are_read() {
    let (public, _) = catching_up(&[(true, 200), (true, 200)], 0, &[(true, 1), (true, 1)]).await;
    assert_eq!(public, ["authorized", "stalled", "recovered"]);
}

#[tokio::test]
async fn blindness_is_told_once_while_blocks_are_read() {
    let (_, operators) = catching_up(&[(true, 1), (true, 1)], 0, &[(false, 1), (false, 1)]).await;
    assert_eq!(operators, ["op-blind"]);
}

#[tokio::test]
async fn what_was_not_told_is_not_taken_back() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    let mut u = w.upgrade("v2", &["relay"]);
    u.window.opens = u
        .window
        .opens
        .checked_add(SignedDuration::from_hours(120))
        .unwrap();
    u.window.closes = u
        .window
        .closes
        .checked_add(SignedDuration::from_hours(120))
        .unwrap();
    w.plan(&[u]).await;
    w.block("relay", 1, &[]).await;
    w.see("relay", &[(true, 200), (true, 190)], 0);
    w.observe("relay").await;
    w.see("relay", &[(true, 3), (true, 3)], 0);
    w.observe("relay").await;
    assert_eq!(w.told("v2", "discord-upgrades").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_version_taken_back_is_not_called_verified_in_an_edit() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 2, &[]).await;
    w.step(60);
    w.block("relay", 1, &[]).await;
    w.step(60);
    w.settle().await;
    let text = w.text("v2", "applied", "discord-upgrades").await;
    assert!(!text.contains("verified meanwhile"), "{text}");
}

#[tokio::test]
async fn a_chain_that_joins_a_campaign_is_not_called_verified() {
    let w = Pipeline::new(&["people", "relay"], |_| {}).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 2, &[]).await;
    w.step(60);
    w.block("people", 1, &[authorized("0xbb")]).await;
    w.step(60);
    w.settle().await;
    let id = "unplanned-relay-101";
    let text = w.text(id, "applied", "discord-upgrades").await;
    assert!(!text.contains("verified meanwhile"), "{text}");
}

#[tokio::test]
async fn go_aheads_of_many_chains_make_one_message() {
    let kin = |core: &mut Core| {
        core.kin.insert(
            "relay".into(),
            Kin {
                paras: [
                    (1, "a".to_owned()),
                    (2, "b".to_owned()),
                    (3, "c".to_owned()),
                ]
                .into(),
                relay: None,
            },
        );
    };
    let w = Pipeline::build(&["a", "b", "c", "relay"], |_| {}, kin).await;
    w.plan(&[w.upgrade("v2", &["a", "b", "c"])]).await;
    for _ in 0..30 {
        w.block("relay", 1, &[]).await;
    }
    let at = w.chains["relay"]
        .blocks
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .number
        + 601;
    let ahead = move |b: &mut Block| b.upcoming = vec![(1, at), (2, at), (3, at)];
    for _ in 0..300 {
        w.step(6);
        w.block_with("relay", 1, &[], ahead).await;
    }
    let told = w.told("v2", "discord-upgrades").await;
    assert_eq!(
        told.iter().filter(|t| *t == "go-ahead").count(),
        1,
        "{told:?}"
    );
    let moved = told.iter().filter(|t| *t == "new-estimate").count();
    assert!((1..=5).contains(&moved), "one word for all three: {told:?}");
}

#[tokio::test]
async fn what_was_verified_long_ago_says_so() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    for _ in 0..1200 {
        w.step(6);
        w.push("relay", 2, &[], |_| {});
    }
    w.watcher.tick("relay").await.unwrap();
    w.settle().await;
    for notice in ["applied", "verified", "completed"] {
        assert!(
            w.text("v2", notice, "discord-upgrades")
                .await
                .contains("Seen late"),
            "{notice}"
        );
    }
}

#[tokio::test]
async fn nodes_that_were_left_have_no_say_in_the_figure() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.see("relay", &[(true, 200), (true, 190), (true, 4)], 0);
    w.chains["relay"].sight.lock().unwrap().endpoints[2].trouble = Some("another chain".into());
    w.observe("relay").await;
    let text = w.text("v2", "stalled", "discord-upgrades").await;
    insta::assert_snapshot!(text, @r"
    ## Paseo runtime 2.3.1: relay needs a look
    relay has finalized no block for 190 s; all nodes we ask agree.

    The last finalized block we know is **101** (`0xrelay101`), with `spec_version` 1.

    - **Validators** — please keep your node running and **don't restart it** unless the team asks for it here.
    - **Developers** — treat nothing as done that isn't finalized.
    - **Users** — transactions may have to wait until the chain goes on; don't send them twice.

    Trouble? **/upgrade help finality**

    <@&1100000000000000011>
    ");
}

#[tokio::test]
async fn a_block_that_is_not_there_yet_is_no_pruned_one() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    for i in 0..4 {
        w.step(6);
        let events = if i == 1 {
            vec![
                authorized("0xaa"),
                (
                    "Sudo",
                    "Sudid",
                    json!({ "sudo_result": { "Err": "BadOrigin" } }),
                ),
            ]
        } else {
            vec![]
        };
        w.push("relay", 1, &events, |_| {});
    }
    // The backend that answers is a block or two behind for a moment: 102 once when it is read, once when it is asked for.
    *w.chains["relay"].lost.lock().unwrap() = vec![102, 102, 103];
    let _ = w.watcher.tick("relay").await;
    let facts: Vec<String> = w
        .store
        .facts()
        .await
        .unwrap()
        .iter()
        .map(|f| format!("{} {}", f.kind().name(), f.detail()))
        .collect();
    let _ = w.watcher.tick("relay").await;
    assert!(facts.iter().all(|f| !f.contains("unexamined")), "{facts:?}");
}

#[test]
fn after_a_stall_the_band_says_that_nobody_knows() {
    use upgrade_herald::domain::chain::block_times::Pace;
    let mut pace = Pace::default();
    let mut ms = 1_800_000_000_000_i64;
    for n in 0..14_000_u64 {
        ms += 6000 + if n == 7000 { 7_200_000 } else { 0 };
        pace.note(&Block {
            number: n,
            time: Timestamp::from_millisecond(ms).ok(),
            ..Block::default()
        });
    }
    let e = pace.estimate(13_999 + 3600).unwrap();
    let real = Timestamp::from_millisecond(ms + 3600 * 6000).unwrap();
    let off = e.at.duration_since(real).abs();
    assert!(off <= e.band, "off by {off:?}, band {:?}", e.band);
}

#[tokio::test]
async fn an_edit_keeps_the_late_mark() {
    let w = Pipeline::new(&["people", "relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["people", "relay"])]).await;
    w.step(6);
    w.push("relay", 2, &[], |_| {});
    w.watcher.tick("relay").await.unwrap();
    // The chat was away: it is posted ten minutes late.
    w.step(600);
    w.settle().await;
    assert!(
        w.text("v2", "under-way", "discord-upgrades")
            .await
            .contains("Posted late")
    );
    w.block("people", 1, &[authorized("0xaa")]).await;
    w.step(40);
    w.settle().await;
    assert!(
        w.told("v2", "discord-upgrades")
            .await
            .iter()
            .any(|t| t == "under-way edit")
    );
    assert!(
        w.text("v2", "under-way", "discord-upgrades")
            .await
            .contains("Posted late")
    );
}

#[tokio::test]
async fn a_downgrade_after_the_end_is_called_one() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    let w2 = Pipeline::new(&["relay"], |_| {}).await;
    w2.block("relay", 2, &[]).await;
    let mut all = w2.store.upgrades().await.unwrap();
    all[0].progress.state = State::Completed;
    all[0].progress.feedback = Some(upgrade_herald::domain::people::feedback::Summary::default());
    w2.store
        .commit(upgrade_herald::ports::Batch {
            upgrades: all,
            ..Default::default()
        })
        .await
        .unwrap();
    w2.block("relay", 1, &[]).await;
    let text: String = {
        let ups = w2.store.upgrades().await.unwrap();
        let id = &ups.last().unwrap().upgrade.id;
        w2.text(id, "unplanned", "discord-upgrades").await
    };
    insta::assert_snapshot!(text, @r"
    ## Unannounced downgrade of relay
    Nobody has announced this here. What the chain shows:

    - relay: applied, runs `spec_version` **1**, proven in block 102

    relay has come from 2 to 1. Seen in finalized block **102** (`0xrelay102`).

    What it changes, and whether your node needs an update, is not known here yet. **Please wait for word from the team**; it will be written here.
    ");
}

#[tokio::test]
async fn a_chain_that_joins_late_is_verified_too() {
    let w = Pipeline::new(&["people", "relay"], |_| {}).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 2, &[]).await;
    for _ in 0..110 {
        w.block("relay", 2, &[]).await;
    }
    w.block("people", 1, &[authorized("0xbb")]).await;
    for _ in 0..20 {
        w.block("people", 2, &[]).await;
    }
    for _ in 0..400 {
        w.block("people", 2, &[]).await;
        w.block("relay", 2, &[]).await;
    }
    let id = "unplanned-relay-101";
    let told = w.told(id, "discord-upgrades").await;
    let messages: Vec<&String> = told.iter().filter(|t| !t.contains(' ')).collect();
    assert_eq!(
        messages,
        [
            "unplanned",
            "applied",
            "verified",
            "under-way",
            "verified",
            "completed"
        ]
    );
    assert_eq!(w.state(id).await, State::Completed);
}

#[tokio::test]
async fn signers_of_a_second_upgrade_are_told_under_it_alone() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    let mut second = w.upgrade("v3", &["relay"]);
    second.chains.insert(
        "relay".into(),
        Target {
            spec_version: 3,
            code_hash: None,
        },
    );
    w.plan(&[w.upgrade("v2", &["relay"]), second]).await;
    w.block("relay", 2, &[]).await;
    w.block("relay", 2, &[]).await;
    w.block_with("relay", 3, &[], |b| b.transaction_version = 2)
        .await;
    let first = w.told("v2", "discord-upgrades").await;
    assert!(
        !first.contains(&"signers".to_owned()),
        "{first:?} and {:?}",
        w.told("v3", "discord-upgrades").await
    );
}

#[tokio::test]
async fn a_first_estimate_blames_no_pace() {
    let kin = |core: &mut Core| {
        core.kin.insert(
            "relay".into(),
            Kin {
                paras: [(1004, "people".to_owned())].into(),
                relay: None,
            },
        );
    };
    let w = Pipeline::build(&["people", "relay"], |_| {}, kin).await;
    w.plan(&[w.upgrade("v2", &["people"])]).await;
    for _ in 0..14 {
        w.block_with("relay", 1, &[], |b| b.upcoming = vec![(1004, 700)])
            .await;
    }
    let told = w.told("v2", "discord-upgrades").await;
    let text = w.text("v2", "new-estimate", "discord-upgrades").await;
    assert!(!text.contains("another pace"), "{told:?} {text}");
}

#[tokio::test]
async fn a_schedule_on_a_relay_that_is_not_followed_says_so() {
    let w = Pipeline::new(&["hub"], |_| {}).await;
    let referendum = Some(Referendum {
        chain: "hub".into(),
        index: 7,
    });
    w.plan(&[Upgrade {
        referendum,
        ..w.upgrade("v2", &["hub"])
    }])
    .await;
    let confirmed = ("Referenda", "Confirmed", json!({ "index": 7, "tally": {} }));
    w.block_with("hub", 1, &[confirmed], |b| {
        b.enactments = vec![(7, 8_000_400)];
        b.relay_number = Some(8_000_000);
    })
    .await;
    let text = w.text("v2", "scheduled", "discord-upgrades").await;
    insta::assert_snapshot!(text, @r"
    ## Paseo runtime 2.3.1: scheduled
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    The approved call has its place in the scheduler of hub. Its block is counted on a chain that herald does not follow, so no time can be told.

    **What it means for you**

    - **Validators** — **action needed**: Update your node and watch it through the upgrade.
    - **Developers** — **action needed**: Test your tools against the new metadata.
    - **Users** — no action: Nothing to do; transactions may take a few seconds longer.
    ");
}

#[tokio::test]
async fn a_campaign_of_which_nothing_comes_is_closed() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.block("relay", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    w.step(25 * 3600);
    w.observe("relay").await;
    assert!(w.store.upgrades().await.unwrap()[0].progress.finished());
    assert_eq!(
        w.told("unplanned-relay-101", "discord-upgrades").await,
        ["unplanned"]
    );
}

#[tokio::test]
async fn a_file_that_names_fewer_chains_joins_all_the_same() {
    let w = Pipeline::new(&["people", "relay"], |_| {}).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("people", 1, &[authorized("0xbb")]).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("people", 1, &[("System", "CodeUpdated", json!([]))])
        .await;
    let all = w.store.upgrades().await.unwrap();
    let ids: Vec<String> = all.iter().map(|a| a.upgrade.id.clone()).collect();
    assert_eq!(ids, ["unplanned-relay-101"]);
    assert_eq!(w.told(&ids[0], "discord-upgrades").await, ["unplanned"]);
}

#[tokio::test]
async fn nothing_is_overdue_while_blocks_are_unread() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.step(3000 + 1900);
    (0..10).for_each(|_| w.push("relay", 1, &[authorized("0xaa")], |_| {}));
    w.see("relay", &[(true, 1)], 0);
    w.chains["relay"].sight.lock().unwrap().endpoints[0].head = 110;
    w.observe("relay").await;
    assert_eq!(
        w.told("v2", "discord-operations").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn what_was_not_examined_before_an_upgrade_is_not_its_matter() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    let old = Block {
        number: 3,
        time: Timestamp::from_second(1_700_000_000).ok(),
        ..Block::default()
    };
    let fact = upgrade_herald::domain::chain::fact::Fact::of(
        &old,
        upgrade_herald::domain::chain::payload::Payload::Unexamined { from: 1, to: 2 },
        "relay",
        1,
    );
    w.store
        .commit(upgrade_herald::ports::Batch {
            facts: vec![fact],
            ..Default::default()
        })
        .await
        .unwrap();
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 2, &[]).await;
    for _ in 0..110 {
        w.block("relay", 2, &[]).await;
    }
    let text = w.text("v2", "verified", "discord-upgrades").await;
    assert!(!text.contains("Not examined"), "{text}");
}
