//! `herald run --dry`: one's own plan on a real chain, without an account on any chat.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    harness::world::{PATIENCE, later, now},
    stories::story,
    support::{Devnet, DevnetOptions, Herald, repo, wait},
};

/// Channels on two chats; their secrets are not there.
fn deployment(chain: &str) -> String {
    format!(
        "
store: {{ url: \"postgres://herald@nowhere.invalid/herald\", password: {{ env: HERALD_TEST_UNSET }} }}
discord: {{ token: {{ env: HERALD_TEST_UNSET }}, guild: \"1000000000000000001\" }}
matrix:
  homeserver: https://nowhere.invalid
  user: \"@herald:nowhere.invalid\"
  password: {{ env: HERALD_TEST_UNSET }}
  store: matrix
chains: {{ devnet: {{ endpoints: [\"{chain}\"] }} }}
channels:
  validators: {{ platform: discord, place: \"1000000000000000002\", mentions: {{ validators: [\"1000000000000000004\"] }} }}
  everybody: {{ platform: matrix, place: \"#upgrades:nowhere.invalid\" }}
  operators: {{ platform: discord, place: \"1000000000000000003\", for: operators }}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_every_post_and_needs_no_account() -> Result<()> {
    let chain = Devnet::start(DevnetOptions::default()).await?;
    let dir = TempDir::new()?;
    let config = dir.path().join("config");
    fs::create_dir_all(config.join("upgrades"))?;
    for part in ["plan.yaml", "people.yaml", "help.yaml", "checklist.yaml"] {
        fs::copy(repo().join("config").join(part), config.join(part))?;
    }
    std::os::unix::fs::symlink(repo().join("config/roster"), config.join("roster"))?;
    std::os::unix::fs::symlink(repo().join("templates"), dir.path().join("templates"))?;
    fs::write(config.join("herald.yaml"), deployment(chain.url()))?;
    let upgrade = story::upgrade(later(now(), 3 * 86_400));
    fs::write(config.join("upgrades/v2.yaml"), &upgrade)?;

    let bin = PathBuf::from(env!("CARGO_BIN_EXE_herald"));
    let mut herald = Herald::new(bin, dir.path()).args(["run", "--dry"]);
    herald.start()?;
    // The announcement waits for an approval otherwise.
    for head in [
        "── validators (Discord) · post",
        "── everybody (Matrix) · post",
        "Devnet runtime 2",
        "A test of everything.",
        "── validators (Discord) · calendar event",
    ] {
        herald.wait_for_output(head, PATIENCE).await?;
    }
    let said = herald.stderr();
    let page = said
        .lines()
        .find_map(|line| line.split_once("the page is at "))
        .with_context(|| said.clone())?;
    wait::until("the upgrade on the page", PATIENCE, async || {
        let page = reqwest::get(page.1.trim()).await.ok()?.text().await.ok()?;
        page.contains("Devnet runtime 2").then_some(())
    })
    .await?;

    // A change of the files is followed, as ever.
    let changed = upgrade.replace("A test of everything.", "Something else.");
    fs::write(config.join("upgrades/v2.yaml"), changed)?;
    herald
        .wait_for_output("the files were read again and are followed", PATIENCE)
        .await?;
    herald.sigterm();
    ensure!(herald.wait(PATIENCE).await? == 0, "{}", herald.stderr());
    let mut kept: Vec<_> = fs::read_dir(dir.path())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    kept.sort();
    let before = ["config", "herald.stderr", "herald.stdout", "templates"];
    ensure!(kept == before, "{kept:?}");
    Ok(())
}
