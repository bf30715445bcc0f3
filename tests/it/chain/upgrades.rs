//! Upgrades that change more than a number, on real runtimes that are executed, over the newer methods and over those of old.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use subxt::{OnlineClient, SubstrateConfig, rpcs::RpcClient};

use crate::support::{Devnet, DevnetOptions, Herald, devnet::blob};

/// What is left when the newer methods are hidden.
const OLD: [&str; 2] = ["chainHead_v1_", "archive_v1_"];

async fn chain(genesis: &str, hide: &[&'static str]) -> Result<Devnet> {
    Devnet::start(DevnetOptions {
        spec: blob(genesis),
        hide: hide.to_vec(),
        ..Default::default()
    })
    .await
}

/// `herald facts` from one block to another.
fn facts(chain: &Devnet, dir: &Path, from: u64, until: u64) -> Herald {
    let (from, until) = (from.to_string(), until.to_string());
    Herald::new(env!("CARGO_BIN_EXE_herald").into(), dir).args([
        "facts",
        chain.url(),
        "--json",
        "--from",
        &from,
        "--until",
        &until,
    ])
}

/// Its facts when it has ended, as `kind +BLOCK version` with blocks counted from `first`; each with its block's own hash.
async fn told(herald: &mut Herald, chain: &Devnet, first: u64) -> Result<Vec<String>> {
    assert_eq!(
        herald.wait(Duration::from_secs(60)).await?,
        0,
        "{}",
        herald.stderr()
    );
    let mut told = Vec::new();
    for line in herald.stdout().lines() {
        let fact: Value = serde_json::from_str(line)?;
        let number = fact["block"].as_u64().context("a block's number")?;
        assert_eq!(
            fact["hash"],
            hash(chain, number).await?,
            "the block's own hash: {line}"
        );
        told.push(format!(
            "{} +{} {}",
            fact["kind"].as_str().unwrap_or_default(),
            number - first,
            fact["spec_version"]
        ));
    }
    Ok(told)
}

/// Three blocks, the last of which shows `CodeUpdated`: by root at once, or authorized in the first of them.
async fn upgrade_in_three(chain: &Devnet, new: &Path, authorized: bool) -> Result<String> {
    if authorized {
        chain.authorize(new).await?;
        chain.remark().await?;
        chain.apply(new).await
    } else {
        chain.remark().await?;
        chain.new_block().await?;
        chain.set_code(new).await
    }
}

async fn hash(chain: &Devnet, number: u64) -> Result<Value> {
    chain.call("chain_getBlockHash", json!([number])).await
}

/// The last byte of what the runtime behind a block answers when it is run and asked for its version.
async fn system_version(chain: &Devnet, number: u64) -> Result<String> {
    let answer = chain
        .call(
            "state_call",
            json!(["Core_version", "0x", hash(chain, number).await?]),
        )
        .await?;
    Ok(answer
        .as_str()
        .and_then(|a| a.get(a.len() - 2..))
        .unwrap_or_default()
        .to_owned())
}

async fn client(chain: &Devnet) -> Result<OnlineClient<SubstrateConfig>> {
    Ok(OnlineClient::from_rpc_client(RpcClient::from_insecure_url(chain.url()).await?).await?)
}

/// The versions that the states behind some blocks call themselves by, counted from a million.
async fn stated(
    client: &OnlineClient<SubstrateConfig>,
    blocks: std::ops::RangeInclusive<u64>,
) -> Result<Vec<u32>> {
    let mut versions = Vec::new();
    for number in blocks {
        versions.push(client.at_block(number).await?.spec_version() - 1_000_000);
    }
    Ok(versions)
}

/// The fields of `System.CodeUpdated` as the runtime behind a block has it.
async fn fields_of_code_updated(
    client: &OnlineClient<SubstrateConfig>,
    number: u64,
) -> Result<Vec<String>> {
    let metadata = client.at_block(number).await?.metadata();
    let variants = metadata
        .pallet_by_name("System")
        .and_then(|p| p.event_variants())
        .context("System has events")?;
    let variant = variants
        .iter()
        .find(|v| v.name == "CodeUpdated")
        .context("CodeUpdated")?;
    Ok(variant
        .fields
        .iter()
        .map(|f| f.name.clone().unwrap_or_default())
        .collect())
}

/// The events of a block, read with the metadata that belongs to `reader`: what a client without herald's care would do.
async fn events(
    client: &OnlineClient<SubstrateConfig>,
    number: u64,
    reader: u64,
) -> Result<Vec<String>> {
    let bytes = client
        .at_block(number)
        .await?
        .events()
        .fetch()
        .await?
        .bytes()
        .to_vec();
    let events = client.at_block(reader).await?.events().from_bytes(bytes);
    let mut names = Vec::new();
    for event in events.iter() {
        let event = event?;
        names.push(format!("{}.{}", event.pallet_name(), event.event_name()));
    }
    Ok(names)
}

/// Between two frame versions `CodeUpdated` has changed its shape: the block that shows it can't be read with its own metadata.
async fn the_trap(hide: &[&'static str], authorized: bool) -> Result<()> {
    let chain = chain("mini-1000000", hide).await?;
    let dir = tempfile::tempdir()?;
    let new = blob("mini-1000001");
    let (first, _) = chain.finalized().await?;
    let upgrade = first + 4;
    let mut herald = facts(&chain, dir.path(), first + 1, first + 7);
    herald.start()?;
    herald
        .wait_for_output("spec_version 1000000", Duration::from_secs(60))
        .await?;

    chain.remark().await?;
    upgrade_in_three(&chain, &new, authorized).await?;
    for _ in 0..3 {
        chain.new_block().await?;
    }

    let mut expected = vec!["code_updated +4 1000000", "applied +5 1000001"];
    if authorized {
        expected.insert(0, "authorized +2 1000000");
    }
    assert_eq!(told(&mut herald, &chain, first).await?, expected);

    // it is the trap: the state at the upgrade's block has the new shape, its events the old one
    let client = client(&chain).await?;
    assert_eq!(stated(&client, upgrade - 1..=upgrade).await?, [0, 1]);
    assert!(
        fields_of_code_updated(&client, upgrade - 1)
            .await?
            .is_empty(),
        "a unit before"
    );
    assert_eq!(fields_of_code_updated(&client, upgrade).await?, ["hash"]);
    let own = events(&client, upgrade, upgrade).await;
    let error = own
        .err()
        .context("the block's own metadata must not do")?
        .to_string();
    ensure!(
        error.contains("Can't decode field \"hash\" in event System.CodeUpdated"),
        "{error}"
    );
    let inner = if authorized {
        vec!["System.CodeUpdated"]
    } else {
        vec!["System.CodeUpdated", "Sudo.Sudid"]
    };
    let all = [
        vec!["System.ExtrinsicSuccess"],
        inner,
        vec!["System.ExtrinsicSuccess"],
    ]
    .concat();
    assert_eq!(
        events(&client, upgrade, upgrade - 1).await?,
        all,
        "by the parent's metadata"
    );

    // and one that reads up on it later, beginning right there, falls into no trap either
    let dir = tempfile::tempdir()?;
    let mut later = facts(&chain, dir.path(), upgrade, first + 7);
    later.start()?;
    assert_eq!(
        told(&mut later, &chain, first).await?,
        ["code_updated +4 1000000", "applied +5 1000001"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_changes_its_shape_is_told_after_set_code_over_the_newer_methods()
-> Result<()> {
    the_trap(&["state_getStorage"], false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_changes_its_shape_is_told_after_set_code_over_the_methods_of_old()
-> Result<()> {
    the_trap(&OLD, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_changes_its_shape_is_told_after_an_authorization_over_the_newer_methods()
-> Result<()> {
    the_trap(&["state_getStorage"], true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_changes_its_shape_is_told_after_an_authorization_over_the_methods_of_old()
-> Result<()> {
    the_trap(&OLD, true).await
}

/// With `system_version` 3 new code waits a block, and moves in without an event. The rule is that of the runtime which is replaced:
/// the upgrade that brings it goes as ever.
async fn system_version_3(hide: &[&'static str], authorized: bool) -> Result<()> {
    let chain = chain("mini-1000001", hide).await?;
    let dir = tempfile::tempdir()?;
    let (second, third) = (blob("mini-1000002-sv3"), blob("mini-1000003-sv3"));
    let (first, _) = chain.finalized().await?;
    let mut herald = facts(&chain, dir.path(), first + 1, first + 9);
    herald.start()?;
    herald
        .wait_for_output("spec_version 1000001", Duration::from_secs(60))
        .await?;

    chain.set_code(&second).await?;
    chain.new_block().await?;
    upgrade_in_three(&chain, &third, authorized).await?;
    for _ in 0..4 {
        chain.new_block().await?;
    }

    let mut expected = vec![
        "code_updated +1 1000001",
        "applied +2 1000002",
        "code_updated +5 1000002",
        "applied +7 1000003",
    ];
    if authorized {
        expected.insert(2, "authorized +3 1000002");
    }
    assert_eq!(told(&mut herald, &chain, first).await?, expected);

    let client = client(&chain).await?;
    let versions = stated(&client, first..=first + 7).await?;
    assert_eq!(
        versions,
        [1, 2, 2, 2, 2, 2, 3, 3],
        "the state's own: changed with the event, then a block after it"
    );
    assert_eq!(system_version(&chain, first).await?, "01");
    assert_eq!(system_version(&chain, first + 5).await?, "03");
    assert_eq!(
        events(&client, first + 6, first + 5).await?,
        ["System.ExtrinsicSuccess"],
        "nothing tells of the new version"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_waits_a_block_is_told_after_set_code_over_the_newer_methods() -> Result<()> {
    system_version_3(&["state_getStorage"], false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_waits_a_block_is_told_after_set_code_over_the_methods_of_old() -> Result<()> {
    system_version_3(&OLD, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_waits_a_block_is_told_after_an_authorization_over_the_newer_methods()
-> Result<()> {
    system_version_3(&["state_getStorage"], true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_waits_a_block_is_told_after_an_authorization_over_the_methods_of_old()
-> Result<()> {
    system_version_3(&OLD, true).await
}
