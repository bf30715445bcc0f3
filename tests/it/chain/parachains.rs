//! Parachains that stop with their relay's upgrade are named, and so is that they are back.

use serde_json::json;
use upgrade_herald::domain::campaign::{
    progress::State,
    upgrade::{Target, Upgrade},
};

use crate::harness::pipeline::Pipeline;

/// Blocks of the relay, each of which includes one of these parachains.
async fn blocks(w: &Pipeline, number: usize, version: u32, included: &[u32]) {
    for _ in 0..number {
        let candidate = |id: &u32| {
            (
                "ParaInclusion",
                "CandidateIncluded",
                json!({ "para_id": id }),
            )
        };
        let events: Vec<_> = included.iter().map(candidate).collect();
        w.block("relay", version, &events).await;
    }
}

/// As LAOS after Polkadot's upgrade of March 2026: the relay runs well, and a parachain makes no block any more.
#[tokio::test]
async fn a_parachain_that_stops_with_its_relays_upgrade_is_named_and_so_is_that_it_is_back() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    *w.chains["relay"].with_core.lock().unwrap() = Some([2004, 2026].into());
    w.plan(&[w.upgrade("v2", &["relay"])]).await;
    blocks(&w, 50, 1, &[2004, 2026, 3370]).await;
    // The coretime of 3370 has ended: it has no core.
    blocks(&w, 30, 2, &[2004]).await;
    let told = async || w.told("v2", "discord-upgrades").await;
    assert_eq!(told().await, ["applied", "applied thread"]);
    blocks(&w, 10, 2, &[2004]).await;
    assert_eq!(
        told().await,
        ["applied", "applied thread", "parachains-stopped"]
    );
    let text = w.text("v2", "parachains-stopped", "discord-upgrades").await;
    insta::assert_snapshot!(text, @r##"
    ## Paseo runtime 2.3.1: parachains have stopped
    relay runs the new runtime. Parachains that went on as usual before the upgrade have stopped:

    - parachain 2026: last included in block **150**

    **What to do now**

    - **Collators and parachain teams** — see whether your nodes are up to date, and tell us what their logs say in the [thread](<https://discord.com/channels/1/1100000000000000002/1300000000000000001>).
    - **Validators** — keep your node running.
    - **Users** — transactions on these parachains have to wait; don't send them twice.
    "##);
    blocks(&w, 80, 2, &[2004]).await;
    assert_eq!(w.state("v2").await, State::Verified, "the relay runs well");
    let text = w.text("v2", "verified", "discord-upgrades").await;
    let missing = "**Parachains of relay that have stopped:** 2026.";
    assert!(text.contains(missing), "{text}");
    blocks(&w, 6, 2, &[2004, 2026]).await;
    let told = told().await;
    let posts: Vec<&String> = told.iter().filter(|t| !t.contains(' ')).collect();
    assert_eq!(
        posts,
        [
            "applied",
            "parachains-stopped",
            "verified",
            "parachains-back"
        ]
    );
    let text = w.text("v2", "parachains-back", "discord-upgrades").await;
    insta::assert_snapshot!(text, @r##"
    ## Paseo runtime 2.3.1: parachains are back
    All parachains that had stopped since the upgrade make blocks again:

    - parachain 2026: stopped with block 150, back since block 271
    "##);
}

/// A parachain stops with the second of two upgrades while people are still heard about the first: the second one tells.
#[tokio::test]
async fn of_two_upgrades_the_one_whose_runtime_runs_tells_of_a_parachain() {
    let w = Pipeline::new(&["relay"], |_| {}).await;
    *w.chains["relay"].with_core.lock().unwrap() = Some([2004, 2026].into());
    let target = Target {
        spec_version: 3,
        code_hash: None,
    };
    let next = Upgrade {
        id: "v3".into(),
        chains: [("relay".to_owned(), target)].into(),
        ..w.sample.clone()
    };
    w.plan(&[w.upgrade("v2", &["relay"]), next]).await;
    blocks(&w, 50, 1, &[2004, 2026]).await;
    blocks(&w, 310, 2, &[2004, 2026]).await;
    assert_eq!(w.state("v2").await, State::Completed);
    blocks(&w, 45, 3, &[2004]).await;
    let stopped = async |upgrade: &str| {
        let told = w.told(upgrade, "discord-upgrades").await;
        told.iter().filter(|t| *t == "parachains-stopped").count()
    };
    assert_eq!((stopped("v2").await, stopped("v3").await), (0, 1));
}
