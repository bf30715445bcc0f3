//! The health of the process, for whoever watches over the process: a service manager by its socket, a container by a file that
//! `herald health` reads.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};

use super::heartbeat::Heartbeats;
use crate::{
    adapters::clock::SystemClock,
    ports::{Clock, Store},
    web::ProcessHealth,
    words::length_words,
};

/// How often the file is written, at least.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// A store that takes longer to write is one that hangs.
const MAX_STORE_WAIT: Duration = Duration::from_secs(10);
/// A record that is older is one of something that has died or hangs.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// The longest that one piece of a service's work may take: a chain may be read for minutes after a long absence. Whatever
/// asks a server ends far earlier, by its own limit.
const MAX_WORK: Duration = Duration::from_mins(15);

/// The state of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProcessState {
    #[default]
    Starting,
    Active,
    StandingBy,
    Stopping,
}

impl ProcessState {
    fn words(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::StandingBy => "standing by",
            Self::Stopping => "stopping",
        }
    }

    /// Tells whether the process does, or is ready to do, what it was started for.
    fn is_ready(self) -> bool {
        matches!(self, Self::Active | Self::StandingBy)
    }
}

/// The content of the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HealthRecord {
    at: Timestamp,
    state: ProcessState,
    /// The parts that hang.
    hangs: Vec<String>,
    /// The reason why the store takes no writes, while it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<String>,
}

/// Writes the health file, and tells the service manager.
pub(crate) struct HealthFile {
    pub heartbeats: Arc<Heartbeats>,
    state: Mutex<ProcessState>,
    store: Mutex<Option<String>>,
    writing: Mutex<()>,
    file: Option<PathBuf>,
    every: Duration,
    /// Set once it was said that the file can't be written.
    has_told_of_error: AtomicBool,
}

impl HealthFile {
    pub fn new(file: Option<PathBuf>) -> Self {
        // A service manager wants to hear thrice as often as it gives up.
        let every =
            sd_notify::watchdog_enabled().map_or(WRITE_EVERY, |limit| WRITE_EVERY.min(limit / 3));
        Self {
            heartbeats: Arc::new(Heartbeats::new(MAX_WORK)),
            state: Mutex::default(),
            store: Mutex::default(),
            writing: Mutex::default(),
            file,
            every,
            has_told_of_error: AtomicBool::new(false),
        }
    }

    fn state(&self) -> ProcessState {
        *self.state.lock()
    }

    /// Returns the health for whoever asks over the network.
    pub fn health(&self) -> ProcessHealth {
        let state = self.state();
        ProcessHealth {
            state: state.words().to_owned(),
            ready: state.is_ready(),
            active: state == ProcessState::Active,
            hangs: self.heartbeats.silent(),
            store: self.store.lock().clone(),
        }
    }

    /// Asks the store again and again whether it takes writes, for as long as this is polled: where it takes none, nothing is
    /// posted, and what is wrong can't be kept in it.
    pub async fn watch_store(&self, store: &dyn Store) -> std::convert::Infallible {
        loop {
            let refused = match tokio::time::timeout(MAX_STORE_WAIT, store.check_writable()).await {
                Ok(answer) => answer.err().map(|error| error.to_string()),
                Err(_) => Some("it doesn't answer".to_owned()),
            };
            let before = std::mem::replace(&mut *self.store.lock(), refused.clone());
            match (before, refused) {
                (None, Some(why)) => {
                    tracing::error!("the store takes no writes, so nothing is posted: {why}");
                }
                (Some(_), None) => tracing::info!("the store takes writes again"),
                _ => {}
            }
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }

    /// Says at once what the process is doing now. A process that stops does nothing else any more.
    pub fn say(&self, state: ProcessState) {
        {
            let mut now = self.state.lock();
            if *now == ProcessState::Stopping {
                return;
            }
            *now = state;
        }
        // Whoever hears it from a service manager reads the same in the file.
        self.write_now();
        let status = NotifyState::Status(state.words());
        match state {
            ProcessState::Stopping => tell(&[NotifyState::Stopping, status]),
            state if state.is_ready() => tell(&[NotifyState::Ready, status]),
            _ => tell(&[status]),
        }
    }

    /// Writes for as long as this is polled: what blocks the whole process blocks this too.
    pub async fn keep(&self) -> std::convert::Infallible {
        let mut before: Vec<String> = Vec::new();
        loop {
            let hangs = self.write_now();
            if hangs.is_empty() {
                tell(&[NotifyState::Watchdog]);
            }
            if hangs != before {
                if hangs.is_empty() {
                    tracing::info!("everything goes on again");
                    tell(&[NotifyState::Status(self.state().words())]);
                } else {
                    let parts = hangs.join(", ");
                    tracing::error!("hangs: {parts}; a watchdog may start herald again");
                    tell(&[NotifyState::Status(&format!("hangs: {parts}"))]);
                }
                before = hangs;
            }
            tokio::time::sleep(self.every).await;
        }
    }

    /// Writes the file; returns what hangs.
    fn write_now(&self) -> Vec<String> {
        let _one_at_a_time = self.writing.lock();
        let record = HealthRecord {
            at: SystemClock.now(),
            state: self.state(),
            hangs: self.heartbeats.silent(),
            store: self.store.lock().clone(),
        };
        if let Some(file) = &self.file {
            match write(file, &record) {
                Ok(()) => self.has_told_of_error.store(false, Ordering::Relaxed),
                Err(error) if !self.has_told_of_error.swap(true, Ordering::Relaxed) => {
                    tracing::error!(
                        "{} can't be written, so `herald health` knows nothing: {error}",
                        file.display()
                    );
                }
                Err(_) => {}
            }
        }
        record.hangs
    }
}

impl Drop for HealthFile {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // A file that is not there any more says the same as one that is never written again.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Without a service manager nobody listens, and nothing is sent.
fn tell(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        tracing::warn!("the service manager can't be told: {error}");
    }
}

/// A reader finds the old record or the new one, never half of one.
fn write(file: &Path, record: &HealthRecord) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, serde_json::to_vec(record)?)?;
    std::fs::rename(&beside, file)
}

/// Reads from a file how herald is, and whether that is well.
pub(crate) fn read(file: Option<&Path>, ready: bool) -> Result<(String, bool)> {
    let Some(file) = file else {
        bail!(
            "no file is named: start `herald run --health-file FILE`, and ask with the same, or set HERALD_HEALTH_FILE for both"
        );
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "herald is not running, or runs without `--health-file {}`",
                file.display()
            )
        }
        Err(error) => bail!("{} can't be read: {error}", file.display()),
    };
    let Ok(record) = serde_json::from_str::<HealthRecord>(&text) else {
        bail!(
            "{} is not a file of `herald run --health-file`",
            file.display()
        )
    };
    Ok(judge(&record, SystemClock.now(), ready))
}

/// Says in words how herald is, and whether that is well.
fn judge(record: &HealthRecord, now: Timestamp, ready: bool) -> (String, bool) {
    let state = record.state.words();
    let age = now.duration_since(record.at);
    if age > STALE_AFTER {
        return (
            format!(
                "nothing was heard of herald for {}: it was {state}",
                length_words(age)
            ),
            false,
        );
    }
    if !record.hangs.is_empty() {
        return (
            format!("{state}, and hangs: {}", record.hangs.join(", ")),
            false,
        );
    }
    if ready && !record.state.is_ready() {
        return (format!("{state}, not ready"), false);
    }
    if let Some(why) = &record.store {
        // A new start would not help: only whoever asks for readiness is refused.
        return (
            format!("{state}, and the store takes no writes: {why}"),
            !ready,
        );
    }
    (state.to_owned(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_well_while_it_is_fresh_and_nothing_hangs() {
        let at: Timestamp = "2027-03-09T13:00:00Z".parse().unwrap();
        let seen = |state, hangs: &[&str], seconds, ready| {
            let record = HealthRecord {
                at,
                state,
                hangs: hangs.iter().map(|&part| part.to_owned()).collect(),
                store: None,
            };
            judge(&record, at + SignedDuration::from_secs(seconds), ready)
        };
        assert_eq!(
            seen(ProcessState::Active, &[], 30, true),
            ("active".into(), true)
        );
        assert_eq!(
            seen(ProcessState::Starting, &[], 5, false),
            ("starting".into(), true)
        );
        assert_eq!(
            seen(ProcessState::Starting, &[], 5, true),
            ("starting, not ready".into(), false)
        );
        assert_eq!(
            seen(ProcessState::StandingBy, &["the plan"], 5, false),
            ("standing by, and hangs: the plan".into(), false)
        );
        assert_eq!(
            seen(ProcessState::Active, &[], 120, false),
            (
                "nothing was heard of herald for 2 minutes: it was active".into(),
                false
            )
        );
    }

    #[test]
    fn a_store_that_takes_no_writes_is_told_and_is_not_ready() {
        let at: Timestamp = "2027-03-09T13:00:00Z".parse().unwrap();
        let record = HealthRecord {
            at,
            state: ProcessState::Active,
            hangs: Vec::new(),
            store: Some("the disk is full".to_owned()),
        };
        let words = "active, and the store takes no writes: the disk is full".to_owned();
        assert_eq!(judge(&record, at, false), (words.clone(), true));
        assert_eq!(judge(&record, at, true), (words, false));
    }

    #[test]
    fn the_file_is_whole_at_all_times_and_goes_with_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("health");
        let health_file = HealthFile::new(Some(file.clone()));
        let read = || {
            serde_json::from_str::<HealthRecord>(&std::fs::read_to_string(&file).unwrap()).unwrap()
        };
        health_file.say(ProcessState::Active);
        assert_eq!((read().state, read().hangs), (ProcessState::Active, vec![]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(health_file);
        assert!(!file.exists());
        let missing = super::read(Some(&file), false).unwrap_err().to_string();
        assert!(
            missing.starts_with("herald is not running, or runs without"),
            "{missing}"
        );
    }
}
