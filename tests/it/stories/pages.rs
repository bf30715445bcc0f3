//! Pages as people see them: drawn by a browser, on a desktop and on a phone, in light and in dark.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    harness::world::PATIENCE,
    support::{installed, repo},
};

/// Where the pictures are kept, to be looked at.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// What the browser has found in each view; nothing where there is no browser.
pub fn look(page: &Path, name: &str) -> Result<Option<Vec<Value>>> {
    browse(
        "look.mjs",
        &[
            &format!("file://{}", page.display()),
            &folder().to_string_lossy(),
            name,
        ],
    )
}

/// What a script of ours has seen with the browser; nothing where there is no browser.
pub fn browse(script: &str, args: &[&str]) -> Result<Option<Vec<Value>>> {
    let chromium = installed_file("HERALD_TEST_CHROMIUM")?;
    if !chromium.exists() {
        println!(
            "SKIPPED: there is no {}: apt install chromium",
            chromium.display()
        );
        return Ok(None);
    }
    let out = Command::new("node")
        .arg(repo().join("tests/browser").join(script))
        .args(args)
        .env("HERALD_TEST_CHROMIUM", chromium)
        .env("HERALD_TEST_BROWSER", installed("HERALD_TEST_BROWSER")?)
        .output()?;
    let words = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{words}");
    Ok(Some(
        serde_json::from_slice(&out.stdout).with_context(|| words.into_owned())?,
    ))
}

fn installed_file(variable: &str) -> Result<PathBuf> {
    match std::env::var_os(variable) {
        Some(path) => Ok(path.into()),
        None => Ok("/usr/bin/chromium".into()),
    }
}

/// Nothing sticks out, nothing is asked for, nothing is said, and a reader who can't see it gets it too.
pub fn is_good(view: &Value) -> Result<()> {
    ensure!(
        view["wider"] == 0 && view["out"] == 0,
        "it sticks out: {view:#}"
    );
    for nothing in ["violations", "said", "asked"] {
        ensure!(
            view[nothing].as_array().is_some_and(Vec::is_empty),
            "{nothing}: {view:#}"
        );
    }
    Ok(())
}

#[test]
fn every_post_is_drawn_as_its_chat_would_show_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let page = dir.path().join("preview.html");
    let made = crate::process::cli::herald(repo(), &["preview", "--html", &page.to_string_lossy()]);
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let Some(views) = look(&page, "preview")? else {
        return Ok(());
    };
    ensure!(views.len() == 4, "{views:#?}");
    for view in &views {
        is_good(view)?;
        for (what, least) in [
            ("articles", 100),
            ("cards", 40),
            ("buttons", 4),
            ("pictures", 1),
        ] {
            ensure!(view[what].as_u64() >= Some(least), "{what}: {view:#}");
        }
        let picture = std::fs::read(folder().join(format!(
            "preview-{}.png",
            view["view"].as_str().unwrap_or_default()
        )))?;
        ensure!(
            picture.starts_with(b"\x89PNG") && picture.len() > 20_000,
            "a picture of {} bytes",
            picture.len()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_plays_a_rehearsal_through() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut herald = tokio::process::Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(["rehearse", "--browser", "--plan", "expedited"])
        .current_dir(dir.path())
        .env_remove("RUST_LOG")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(herald.stdout.take().context("its output")?).lines();
    let first = tokio::time::timeout(5 * PATIENCE, lines.next_line())
        .await??
        .context("it says where")?;
    let page = first
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .context(first.clone())?
        .to_owned();
    let own = [("x-rehearsal", "1"), ("host", "evil.example")];
    let client = reqwest::Client::new();
    let from_elsewhere = client
        .post(format!("{page}act"))
        .header("content-type", "application/json")
        .body(r#"{ "do": "again" }"#);
    let refused = own
        .iter()
        .fold(from_elsewhere, |request, (name, value)| {
            request.header(*name, *value)
        })
        .send()
        .await?;
    ensure!(
        refused.status() == 403,
        "another page orders nothing: {}",
        refused.status()
    );
    let folder = folder().to_string_lossy().into_owned();
    let played =
        tokio::task::spawn_blocking(move || browse("rehearsal.mjs", &[&page, &folder])).await??;
    let Some(played) = played else { return Ok(()) };
    let played = &played[0];
    ensure!(played["done"] == true, "{played:#}");
    for nothing in ["said", "asked", "violations", "twice"] {
        ensure!(
            played[nothing].as_array().is_some_and(Vec::is_empty),
            "{nothing}: {played:#}"
        );
    }
    ensure!(
        played["wider"]
            .as_array()
            .is_some_and(|all| all.iter().all(|w| w == 0)),
        "{played:#}"
    );
    ensure!(
        played["ready"]
            .as_str()
            .is_some_and(|words| words.contains("Thank you")),
        "{played:#}"
    );
    ensure!(played["stood"] == true, "a pause is one: {played:#}");
    ensure!(
        played["summary"]
            .as_str()
            .is_some_and(|s| s.contains("Replies: 4") || s.contains("replies")),
        "{played:#}"
    );
    Ok(())
}
