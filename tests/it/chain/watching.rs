//! The watcher and the dispatcher over pretended chains whose blocks and endpoints are laid down by hand.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use upgrade_herald::{
    domain::{
        campaign::{
            progress::State,
            upgrade::{Referendum, Upgrade},
        },
        chain::{
            block::{Block, Kin},
            memory::enactment_name,
        },
        outbox::Operation,
    },
    outbox::Core,
    ports::{ChainError, Clock, Readers},
};

use crate::harness::{
    chains::Failure,
    pipeline::{Pipeline, authorized},
};

fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

#[tokio::test]
async fn many_chains_make_three_messages_and_the_rest_is_edited() {
    let names = ["asset-hub", "bridge-hub", "coretime", "people", "relay"];
    let w = Pipeline::new(&names, |_| {}).await;
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
    insta::assert_snapshot!(last, @r"
    ## Paseo runtime 2.3.1: under way
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    - asset-hub: **applied**, runs `spec_version` 2 since block 103
    - bridge-hub: **applied**, runs `spec_version` 2 since block 103
    - coretime: **applied**, runs `spec_version` 2 since block 103
    - people: **applied**, runs `spec_version` 2 since block 103
    - relay: **applied**, runs `spec_version` 2 since block 103

    This post is kept up to date. A new one comes when every chain is done, or if something goes wrong.

    - **Validators** — **action needed**: Update your node and watch it through the upgrade.
    - **Developers** — **action needed**: Test your tools against the new metadata.
    - **Users** — no action: Nothing to do; transactions may take a few seconds longer.
    ");
    for channel in ["discord-upgrades", "matrix-upgrades"] {
        assert_eq!(w.told("v2", channel).await, told, "the same everywhere");
    }
    assert!(w.told("v2", "discord-operations").await.is_empty());
}

#[tokio::test]
async fn a_stall_is_told_when_two_nodes_agree_and_taken_back_when_it_is_over() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
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

/// As on Kusama on 9 May 2025: two hours after an upgrade that went well, finality hangs.
#[tokio::test]
async fn an_all_clear_that_no_longer_holds_is_taken_back() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 2, &[]).await;
    for _ in 0..400 {
        w.block("relay", 2, &[]).await;
    }
    let state = async || w.state("v2").await;
    assert_eq!(state().await, State::Completed);
    w.see("relay", &[(true, 5), (true, 5)], 0);
    w.observe("relay").await;
    w.see("relay", &[(true, 200), (true, 190)], 0);
    w.observe("relay").await;
    assert_eq!(
        state().await,
        State::Applied,
        "no view says that all is well"
    );
    let text = w.text("v2", "stalled", "discord-upgrades").await;
    assert!(
        text.contains("**Our all-clear for this upgrade no longer holds.**"),
        "{text}"
    );
    let no_longer =
        "> **No longer so:** something has gone wrong since. The newest post says what.";
    for notice in ["verified", "completed"] {
        assert_eq!(on_top(&w, notice).await, [no_longer], "{notice}");
    }
    w.see("relay", &[(true, 3), (true, 5)], 0);
    w.observe("relay").await;
    let text = w.text("v2", "recovered", "discord-upgrades").await;
    assert!(
        text.contains("holds again once every chain has run well"),
        "{text}"
    );
    for _ in 0..400 {
        w.block("relay", 2, &[]).await;
    }
    assert_eq!(state().await, State::Completed);
    let told = w.told("v2", "discord-upgrades").await;
    let of = |notice: &str| told.iter().filter(|t| *t == notice).count();
    assert_eq!(
        ["stalled", "recovered", "verified", "completed"].map(of),
        [1; 4],
        "{told:?}"
    );
    let again = "> **This holds again:** what had gone wrong since is over.";
    for notice in ["verified", "completed"] {
        assert_eq!(on_top(&w, notice).await, [no_longer, again], "{notice}");
    }
    // A day later nobody watches any more.
    w.step(86_400);
    w.observe("relay").await;
    w.see("relay", &[(true, 200), (true, 190)], 0);
    w.observe("relay").await;
    assert_eq!(state().await, State::Completed);
    assert_eq!(w.told("v2", "discord-upgrades").await, told);
}

/// The lines that were put on top of a notice in a channel, in order.
async fn on_top(w: &Pipeline, notice: &str) -> Vec<String> {
    let posts = w.posts("v2").await;
    let mut marks: Vec<(u32, String)> = posts
        .into_iter()
        .filter(|p| p.operation == Operation::Mark && p.notice == notice)
        .filter(|p| p.channel == "discord-upgrades")
        .map(|p| (p.edition, p.body.unwrap_or_default().text))
        .collect();
    marks.sort();
    let first = |(_, text): &(u32, String)| text.lines().next().unwrap_or_default().to_owned();
    marks.iter().map(first).collect()
}

#[tokio::test]
async fn a_herald_that_cannot_see_tells_operators_and_nobody_of_a_stall() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
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
    let w = Pipeline::new(&["relay"], |_| {}).await;
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
async fn a_chain_that_joins_takes_back_no_all_clear() {
    let w = Pipeline::new(&["relay", "people"], |_| {}).await;
    w.block("people", 1, &[]).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    w.block("relay", 2, &[]).await;
    let id = "unplanned-relay-101";
    let state = async || w.state(id).await;
    while state().await < State::Verified {
        w.block("relay", 2, &[]).await;
    }
    w.block("people", 1, &[authorized("0xbb")]).await;
    assert_eq!(state().await, State::Applying);
    let posts = w.posts(id).await;
    let mut marks = posts.iter().filter(|p| p.operation == Operation::Mark);
    assert_eq!(marks.next(), None);
}

#[tokio::test]
async fn an_upgrade_nobody_planned_is_told_and_a_file_joins_it() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.block("relay", 1, &[authorized("0xaa")]).await;
    let id = "unplanned-relay-101";
    assert_eq!(w.told(id, "discord-operations").await, ["op-unplanned"]);
    assert_eq!(w.told(id, "discord-upgrades").await, ["unplanned"]);
    let text = w.text(id, "unplanned", "discord-upgrades").await;
    insta::assert_snapshot!(text, @r"
    ## Unannounced upgrade of relay
    Nobody has announced this here. What the chain shows:

    - relay: authorized, runs `spec_version` **1**

    The authorized code has the hash `0xaa`. Seen in finalized block **101** (`0xrelay101`).

    What it changes, and whether your node needs an update, is not known here yet. **Please wait for word from the team**; it will be written here.
    ");
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
    let w = Pipeline::new(&["people", "relay"], |plan| {
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
    let w = Pipeline::new(&["relay"], |_| {}).await;
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
    // With the block's own time.
    insta::assert_snapshot!(text, @r"
    ## Paseo runtime 2.3.1: authorized
    *Seen late: this happened <t:1804594326:F> · Tue 9 Mar 2027, 13:12 CET (12:12 UTC), while herald was away.*

    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    relay has authorized new code, seen in finalized block **121** (`0xrelay121`), code hash `0xaa`.

    The upgrade has started, but the new runtime isn't live yet. It can be applied at any time from now on.

    - **Validators** — **action needed**: Update your node and watch it through the upgrade.
    - **Developers** — **action needed**: Test your tools against the new metadata.
    - **Users** — no action: Nothing to do; transactions may take a few seconds longer.
    ");
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
    let w = Pipeline::new(&["relay"], |_| {}).await;
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
    insta::assert_snapshot!(text, @r##"
    ## Paseo runtime 2.3.1: applied, being verified
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    - relay runs `spec_version` **2**, proven in block **102**; migrating 3 of 3

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
    assert_eq!(
        w.state("v2").await,
        State::Applied,
        "the time begins with the end of the migration"
    );
    for _ in 0..100 {
        w.block("relay", 2, &[]).await;
    }
    assert_eq!(w.state("v2").await, State::Verified);
}

#[tokio::test]
async fn a_verification_says_its_figures_and_shows_a_picture() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
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
    // Half of all transactions fail on this chain, before as well as after.
    for _ in 0..30 {
        w.block("relay", 1, &[success.clone(), failure.clone()])
            .await;
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
    insta::assert_snapshot!(text, @r##"
    ## Paseo runtime 2.3.1: verified
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    The runtime has run well for 10 minutes:

    - relay `2`: 6.1 s a block (before 6.0), longest 18.0; 196 transactions, 98 failed; planned code; nodes 2/3

    Transactions are safe to send again. We watch for 20 minutes more and listen in the [feedback thread](<https://discord.com/channels/1/1100000000000000002/1300000000000000002>).

    <@&1100000000000000011>
    "##);
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
    let w = Pipeline::new(&["relay"], |_| {}).await;
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
    insta::assert_snapshot!(w.text("v2", "other-version", "discord-upgrades").await, @r"
    ## Paseo runtime 2.3.1: something needs a look
    **Must I update my node?** Please wait for word from us before you do anything.

    relay runs `spec_version` 2, and not what this upgrade is to bring: code 0xbb, planned 0xaa.

    Seen in finalized block **103** (`0xrelay103`).

    The team is looking at it and will write here.

    - **Validators** — keep your node running; don't restart it or go back to an older version on your own.
    - **Developers** — hold back what you were about to release or sign in bulk.
    - **Users** — better wait with transactions until the all-clear.

    Trouble? **/upgrade help version**
    ");
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
    let w = Pipeline::build(&["people", "relay"], |_| {}, kin).await;
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
    let w = Pipeline::new(&["hub", "relay"], |_| {}).await;
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
    insta::assert_snapshot!(text, @r"
    ## Paseo runtime 2.3.1: something needs a look
    **Must I update my node?** Please wait for word from us before you do anything.

    The approved call was dispatched on hub and failed (referendum 7 System.FailedToExtractRuntimeVersion). The old runtime runs on.

    Seen in finalized block **106** (`0xhub106`).

    The team is looking at it and will write here.

    - **Validators** — keep your node running; don't restart it or go back to an older version on your own.
    - **Developers** — hold back what you were about to release or sign in bulk.
    - **Users** — better wait with transactions until the all-clear.
    ");
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
    let w = Pipeline::new(&["people", "relay"], |_| {}).await;
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
    insta::assert_snapshot!(w.text("v2", "signers", "discord-upgrades").await, @r"
    ## Paseo runtime 2.3.1: update offline signers
    The `transaction_version` of people has changed (1 to 2). Transactions made for the version before are refused. Seen in finalized block **101** (`0xpeople101`).

    - **Developers** — take the new metadata into your tools before you sign again.
    - **Users** — update the metadata of your hardware wallet or offline signer before your next transaction.

    Trouble? **/upgrade help refused**
    ");
}

#[tokio::test]
async fn authorized_code_that_nobody_applies_is_asked_about() {
    let w = Pipeline::new(&["relay"], |plan| plan.limits.unapplied_after = 20).await;
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

/// However a block fails, herald goes on behind it, says what was not examined, and tells what the state proves.
#[tokio::test]
async fn a_block_whose_events_cannot_be_read_hides_nothing_behind_it() {
    let ways: [(Failure, usize); 3] = [
        (ChainError::Undecodable, 3),
        (ChainError::Answer, 3),
        (ChainError::Unreachable, 5),
    ];
    for (error, tries) in ways {
        let w = Pipeline::new(&["relay"], |_| {}).await;
        w.plan(&[w.upgrade("v2", &["relay"])]).await;
        w.block("relay", 1, &[]).await;
        // The block with the authorization and the one with the new code can't be read.
        w.push("relay", 1, &[authorized("0xaa")], |b| {
            b.authorized = Some("0xaa".into());
        });
        w.push(
            "relay",
            2,
            &[("System", "CodeUpdated", serde_json::json!({}))],
            |b| {
                b.proven_version = Some(1);
            },
        );
        w.push("relay", 2, &[], |_| {});
        let unreadable = [(102, error), (103, error)];
        *w.chains["relay"].unreadable.lock().unwrap() = unreadable.into();
        let mut failed = 0;
        while let Err(told) = w.watcher.tick("relay").await {
            assert!(
                told.to_string().contains("an event can't be read"),
                "{told}"
            );
            failed += 1;
            assert!(failed <= tries, "it goes on");
        }
        assert_eq!(
            failed,
            tries - 1,
            "those behind the first cost no further tries"
        );
        w.settle().await;
        let facts = w.store.facts().await.unwrap();
        let facts: Vec<String> = facts
            .iter()
            .map(|f| format!("{} {} {}", f.kind().name(), f.block, f.detail()))
            .collect();
        for fact in [
            "unexamined 102 102 to 102",
            "unexamined 103 103 to 103",
            "authorized 102 0xaa",
            "applied 104 from 1",
        ] {
            assert!(facts.contains(&fact.to_owned()), "{fact}: {facts:?}");
        }
        let told = w.told("v2", "discord-upgrades").await;
        assert!(
            told.contains(&"authorized".into()) && told.contains(&"applied".into()),
            "{told:?}"
        );
        let operators = w.told("v2", "discord-operations").await;
        assert!(operators.contains(&"op-unexamined".into()), "{operators:?}");
    }
}

/// A block that is not there yet is waited for, however long that takes.
#[tokio::test]
async fn a_block_that_is_not_there_yet_is_not_passed_over() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    w.block("relay", 1, &[]).await;
    w.push("relay", 1, &[authorized("0xaa")], |b| {
        b.authorized = Some("0xaa".into());
    });
    *w.chains["relay"].lost.lock().unwrap() = vec![102; 30];
    for _ in 0..30 {
        assert!(w.watcher.tick("relay").await.is_err());
    }
    w.watcher.tick("relay").await.unwrap();
    let facts = w.store.facts().await.unwrap();
    let facts: Vec<&str> = facts.iter().map(|f| f.kind().name()).collect();
    assert_eq!(facts, ["authorized"]);
}
