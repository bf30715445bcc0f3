//! What a viewer does to a rehearsal: how fast it goes, and what goes wrong in it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    domain::chain::{
        block::{Block, Memory},
        observation::{EndpointSight, Sight},
    },
    ports::{Chain, ChainError, Clock, Head},
};

/// So many lines and blocks are kept for the viewer.
const LINES: usize = 200;
const BLOCKS: usize = 12;
/// The slowest and the fastest that a rehearsal goes, in percent.
const SPEEDS: std::ops::RangeInclusive<u32> = 10..=2_000;

/// What a viewer can let go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InjectedFault {
    /// The team moves the window by a day.
    Delay,
    /// The chain finalizes nothing for a while.
    Stall,
    /// The team calls the upgrade failed.
    Fail,
    /// herald is killed when its next post is out and not yet written down.
    Crash,
}

/// A block as the viewer sees it go by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passed {
    pub number: u64,
    pub synthetic: bool,
}

#[derive(Default)]
struct Said {
    lines: VecDeque<String>,
    blocks: BTreeMap<String, VecDeque<Passed>>,
    asked: BTreeSet<InjectedFault>,
    verdict: Vec<String>,
}

/// Shared by the rehearsal and whoever shows it.
pub struct Controls {
    paused: AtomicBool,
    /// In percent.
    speed: AtomicU32,
    again: AtomicBool,
    over: AtomicBool,
    changed: Notify,
    /// Rung by a room in which herald was killed.
    pub killed: Arc<Notify>,
    said: Mutex<Said>,
    /// Since when the chains stand still.
    still: Mutex<Option<Timestamp>>,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            paused: AtomicBool::new(false),
            speed: AtomicU32::new(100),
            again: AtomicBool::new(false),
            over: AtomicBool::new(false),
            changed: Notify::new(),
            killed: Arc::default(),
            said: Mutex::default(),
            still: Mutex::default(),
        }
    }
}

impl Controls {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// In percent; it keeps to what can be followed.
    pub fn set_speed(&self, percent: u32) {
        self.speed.store(
            percent.clamp(*SPEEDS.start(), *SPEEDS.end()),
            Ordering::Relaxed,
        );
        self.changed.notify_waiters();
    }

    pub fn speed(&self) -> u32 {
        self.speed.load(Ordering::Relaxed)
    }

    /// It begins anew, with nothing wrong in it.
    pub fn begin_again(&self) {
        self.again.store(true, Ordering::Relaxed);
        self.pause(false);
    }

    pub fn begins_again(&self) -> bool {
        self.again.load(Ordering::Relaxed)
    }

    pub(super) fn begun(&self) {
        self.again.store(false, Ordering::Relaxed);
        self.over.store(false, Ordering::Relaxed);
        *self.said() = Said::default();
        self.stands_still(None);
    }

    pub fn ends(&self, verdict: &[String]) {
        self.said().verdict = verdict.to_vec();
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn verdict(&self) -> Vec<String> {
        self.said().verdict.clone()
    }

    /// Waits until somebody wants it to begin again.
    pub async fn wait_for_another(&self) {
        while !self.begins_again() {
            let changed = self.changed.notified();
            if self.begins_again() {
                return;
            }
            changed.await;
        }
    }

    /// A pause for the viewer: as long as they like.
    pub(super) async fn breathe(&self, length: Duration) {
        let mut left = length.as_secs_f64();
        while !self.begins_again() && (left > 0.0 || self.is_paused()) {
            let changed = self.changed.notified();
            if self.is_paused() {
                changed.await;
                continue;
            }
            let speed = f64::from(self.speed()) / 100.0;
            let began = tokio::time::Instant::now();
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs_f64(left / speed)) => return,
                () = changed => left -= began.elapsed().as_secs_f64() * speed,
            }
        }
    }

    pub fn tell(&self, line: &str) {
        let line = line.trim();
        if !line.is_empty() {
            let mut said = self.said();
            said.lines.push_back(line.to_owned());
            while said.lines.len() > LINES {
                said.lines.pop_front();
            }
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.said().lines.iter().cloned().collect()
    }

    pub(super) fn passed(&self, chain: &str, block: Passed) {
        let mut said = self.said();
        let blocks = said.blocks.entry(chain.to_owned()).or_default();
        blocks.push_back(block);
        while blocks.len() > BLOCKS {
            blocks.pop_front();
        }
    }

    pub fn blocks(&self) -> BTreeMap<String, Vec<Passed>> {
        self.said()
            .blocks
            .iter()
            .map(|(chain, blocks)| (chain.clone(), blocks.iter().cloned().collect()))
            .collect()
    }

    pub fn ask(&self, trouble: InjectedFault) {
        self.said().asked.insert(trouble);
        self.changed.notify_waiters();
    }

    /// What is asked for and still to come.
    pub fn asked(&self) -> Vec<InjectedFault> {
        self.said().asked.iter().copied().collect()
    }

    /// True once it was asked for, and not any more then.
    pub(super) fn take(&self, trouble: InjectedFault) -> bool {
        self.said().asked.remove(&trouble)
    }

    pub(super) fn stands_still(&self, since: Option<Timestamp>) {
        *self.still.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    pub fn still(&self) -> Option<Timestamp> {
        *self.still.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chain as the rehearsal's clock sees it: what a node tells of its own clock means nothing there.
pub(super) struct ControlledChain {
    pub node: Arc<dyn Chain>,
    pub stage: Arc<Controls>,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Chain for ControlledChain {
    async fn head(&self, known: Option<&Memory>) -> Result<Head, ChainError> {
        self.node.head(known).await
    }
    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        self.node.block(number).await
    }
    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        self.node.version(number).await
    }
    async fn code_hash(&self, number: u64) -> Result<Option<String>, ChainError> {
        self.node.code_hash(number).await
    }
    async fn enactment(&self, number: u64, referendum: u32) -> Result<Option<u64>, ChainError> {
        self.node.enactment(number, referendum).await
    }
    /// Two invented nodes that agree, so that a stall can be told from a node that hangs.
    fn sight(&self) -> Sight {
        let unmoved = self.stage.still().map_or(SignedDuration::ZERO, |since| {
            self.clock.now().duration_since(since)
        });
        let head = self
            .node
            .sight()
            .endpoints
            .iter()
            .map(|e| e.head)
            .max()
            .unwrap_or(0);
        let endpoint = |name: &str| EndpointSight {
            name: name.to_owned(),
            answers: true,
            head,
            unmoved,
            trouble: None,
        };
        Sight {
            endpoints: vec![
                endpoint("ws://one.invented"),
                endpoint("ws://another.invented"),
            ],
            lag: Some(0),
            unseen: SignedDuration::ZERO,
        }
    }
    async fn doubt(&self) {
        self.node.doubt().await;
    }
    async fn changed(&self) {
        self.node.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_lasts_until_the_viewer_goes_on() {
        let stage = Arc::new(Controls::default());
        stage.pause(true);
        let waiting = tokio::spawn({
            let stage = stage.clone();
            async move { stage.breathe(Duration::from_millis(1)).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        stage.pause(false);
        waiting.await.unwrap();
        stage.set_speed(1);
        assert_eq!(stage.speed(), 10, "it is not brought to a standstill");
        // Begun again, it waits for nothing.
        stage.begin_again();
        stage.breathe(Duration::from_secs(1_000_000)).await;
    }

    #[test]
    fn what_was_asked_for_comes_once() {
        let stage = Controls::default();
        stage.ask(InjectedFault::Stall);
        stage.ask(InjectedFault::Stall);
        assert!(
            stage.take(InjectedFault::Stall)
                && !stage.take(InjectedFault::Stall)
                && !stage.take(InjectedFault::Crash)
        );
        (0..300).for_each(|i| stage.tell(&format!("{i}")));
        assert_eq!(
            (stage.lines().len(), stage.lines().last().cloned()),
            (LINES, Some("299".into()))
        );
    }
}
