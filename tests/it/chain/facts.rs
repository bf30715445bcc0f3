//! `herald facts` on a real runtime that is executed, over the newer methods and over those of old.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::support::{Devnet, DevnetOptions, Herald, devnet::blob, wait};

async fn told(hide: Vec<&'static str>) -> Result<()> {
    let chain = Devnet::start(DevnetOptions {
        hide,
        ..Default::default()
    })
    .await?;
    let dir = tempfile::tempdir()?;
    let (first, _) = chain.finalized().await?;
    let (from, until) = ((first + 1).to_string(), (first + 8).to_string());
    let mut herald = Herald::new(env!("CARGO_BIN_EXE_herald").into(), dir.path()).args([
        "facts",
        chain.url(),
        "--json",
        "--from",
        &from,
        "--until",
        &until,
    ]);
    herald.start()?;
    herald
        .wait_for_output("spec_version 1000001", Duration::from_secs(60))
        .await?;

    let (old, new) = (blob("mini-1000001"), blob("mini-1000002"));
    chain.authorize(&old).await?; // its own version: allowed to be authorized …
    chain.apply(&old).await?; // … and refused when it is applied
    chain.set_code(&old).await?; // root's call is included, the call inside fails
    chain.authorize(&new).await?;
    chain.remark().await?;
    chain.apply(&new).await?;
    chain.new_block().await?;
    chain.new_block().await?;

    assert_eq!(
        herald.wait(Duration::from_secs(60)).await?,
        0,
        "{}",
        herald.stderr()
    );
    let facts: Vec<Value> = herald
        .stdout()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let shown: Vec<String> = facts
        .iter()
        .map(|f| {
            format!(
                "{} +{} {}",
                f["kind"].as_str().unwrap_or_default(),
                f["block"].as_u64().unwrap_or(0) - first,
                f["spec_version"]
            )
        })
        .collect();
    let expected = [
        "authorized +1 1000001",
        "authorization_rejected +2 1000001",
        "sudo_failed +3 1000001",
        "authorized +4 1000001",
        "code_updated +6 1000001",
        "applied +7 1000002",
    ];
    assert_eq!(shown, expected);
    let detail = |kind: &str| {
        facts
            .iter()
            .find(|f| f["kind"] == kind)
            .map_or(&Value::Null, |f| &f["detail"])
    };
    assert_eq!(
        detail("authorization_rejected"),
        "System.SpecVersionNeedsToIncrease"
    );
    assert_eq!(detail("sudo_failed"), "System.SpecVersionNeedsToIncrease");
    for fact in &facts {
        let hash = chain
            .call("chain_getBlockHash", serde_json::json!([fact["block"]]))
            .await?;
        assert_eq!(fact["hash"], hash, "the block's own hash");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_is_told_over_the_newer_methods() -> Result<()> {
    told(vec!["state_getStorage"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_is_told_over_the_methods_of_old() -> Result<()> {
    told(vec!["chainHead_v1_", "archive_v1_"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_loses_no_fact() -> Result<()> {
    let chain = Devnet::start(DevnetOptions::default()).await?;
    let dir = tempfile::tempdir()?;
    let mut herald = Herald::new(env!("CARGO_BIN_EXE_herald").into(), dir.path()).args([
        "facts",
        chain.url(),
        "--json",
    ]);
    herald.start()?;
    herald
        .wait_for_output("spec_version 1000001", Duration::from_secs(60))
        .await?;
    let new = blob("mini-1000002");
    chain.drop_clients(0).await?;
    chain.authorize(&new).await?;
    chain.drop_clients(0).await?;
    chain.apply(&new).await?;
    chain.drop_clients(0).await?;
    chain.new_block().await?;
    wait::until("the version proven", Duration::from_secs(60), async || {
        herald.stdout().contains("\"applied\"").then_some(())
    })
    .await?;
    let kinds: Vec<String> = herald
        .stdout()
        .lines()
        .filter_map(|l| {
            serde_json::from_str::<Value>(l).ok()?["kind"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(kinds, ["authorized", "code_updated", "applied"]);
    Ok(())
}
