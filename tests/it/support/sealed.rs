//! A person in encrypted rooms, with a client that has nothing in common with herald's (`tests/synapse/sealed.py`).

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::{Synapse, installed, repo, wait};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Sealed {
    pub user_id: String,
    stdin: ChildStdin,
    said: Arc<Mutex<Vec<Value>>>,
    /// Ends with the test: it reads its orders to their end.
    _process: Child,
    _store: TempDir,
}

impl Sealed {
    pub async fn start(synapse: &Synapse, name: &str) -> anyhow::Result<Self> {
        const PASSWORD: &str = "another invented password";
        synapse.register(name, PASSWORD).await?;
        let (user_id, store) = (format!("@{name}:localhost"), TempDir::new()?);
        let mut process = Command::new(installed("HERALD_TEST_SYNAPSE_VENV")?.join("bin/python"))
            .arg(repo().join("tests/synapse/sealed.py"))
            .args([synapse.url(), &user_id, PASSWORD])
            .arg(store.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = process.stdin.take().context("its input")?;
        let mut lines = BufReader::new(process.stdout.take().context("its output")?).lines();
        let said: Arc<Mutex<Vec<Value>>> = Arc::default();
        let into = said.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(line) = serde_json::from_str(&line) {
                    into.lock().expect("nobody panics with it").push(line);
                }
            }
        });
        let sealed = Self {
            user_id,
            stdin,
            said,
            _process: process,
            _store: store,
        };
        sealed
            .heard("the client is ready", |said| said["ready"].is_string())
            .await?;
        Ok(sealed)
    }

    /// What it has said that is wanted, waited for.
    pub async fn heard(
        &self,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let found = async || {
            self.said
                .lock()
                .expect("nobody panics with it")
                .iter()
                .find(|s| wanted(s))
                .cloned()
        };
        wait::until(what, PATIENCE, found)
            .await
            .with_context(|| format!("the client has said {:#?}", self.all()))
    }

    /// A message that it could read.
    pub async fn read(&self, sender: &str, words: &str) -> anyhow::Result<Value> {
        let what = format!("“{words}”, decrypted by another client");
        self.heard(&what, |s| {
            s["sender"] == sender
                && s["decrypted"] == true
                && s["body"].as_str().is_some_and(|b| b.contains(words))
        })
        .await
    }

    /// All that it has said.
    pub fn all(&self) -> Vec<Value> {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// Messages that it could not read.
    pub fn unread(&self) -> Vec<Value> {
        let said = self.said.lock().expect("nobody panics with it");
        said.iter()
            .filter(|s| s["decrypted"] == false)
            .cloned()
            .collect()
    }

    /// Does something; the event's id, where it made one.
    pub async fn order(&mut self, order: Value) -> anyhow::Result<String> {
        let done = |said: &Value| said["done"].is_string();
        let before = self
            .said
            .lock()
            .expect("nobody panics with it")
            .iter()
            .filter(|s| done(s))
            .count();
        self.stdin
            .write_all(format!("{order}\n").as_bytes())
            .await?;
        let answer = wait::until(&format!("{order}"), PATIENCE, async || {
            self.said
                .lock()
                .expect("nobody panics with it")
                .iter()
                .filter(|s| done(s))
                .nth(before)
                .cloned()
        })
        .await?;
        ensure!(answer["error"].is_null(), "{order}: {answer}");
        Ok(answer["event"].as_str().unwrap_or_default().to_owned())
    }

    pub async fn say(&mut self, room: &str, body: &str) -> anyhow::Result<String> {
        self.order(json!({ "do": "say", "room": room, "body": body }))
            .await
    }
}
