//! The controls of a rehearsal: how fast it goes, which faults its viewer injects, and what the viewer is shown.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    domain::chain::{
        block::Block,
        memory::Memory,
        observation::{EndpointSight, Sight},
    },
    ports::{Chain, ChainError, Clock, Head},
};

/// Lines and, for each chain, blocks that are kept for the viewer.
const MAX_LINES: usize = 200;
const MAX_BLOCKS: usize = 12;
/// The slowest and the fastest that a rehearsal goes.
const SPEED_PERCENT: std::ops::RangeInclusive<u32> = 10..=2_000;

/// A fault that a viewer can inject.
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
pub struct SeenBlock {
    pub number: u64,
    pub synthetic: bool,
}

/// The things that the viewer is shown besides the rooms, and has asked for.
#[derive(Default)]
struct ViewerState {
    lines: VecDeque<String>,
    blocks: BTreeMap<String, VecDeque<SeenBlock>>,
    asked: BTreeSet<InjectedFault>,
    /// How it ended, line by line.
    result: Vec<String>,
}

/// The controls, shared by the rehearsal and whoever shows it.
pub struct Controls {
    paused: AtomicBool,
    /// In percent.
    speed: AtomicU32,
    again: AtomicBool,
    over: AtomicBool,
    changed: Notify,
    /// Rung by a room in which herald was killed.
    pub killed: Arc<Notify>,
    shown: Mutex<ViewerState>,
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
            shown: Mutex::default(),
            still: Mutex::default(),
        }
    }
}

impl Controls {
    fn shown(&self) -> MutexGuard<'_, ViewerState> {
        self.shown.lock()
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
            percent.clamp(*SPEED_PERCENT.start(), *SPEED_PERCENT.end()),
            Ordering::Relaxed,
        );
        self.changed.notify_waiters();
    }

    pub fn speed(&self) -> u32 {
        self.speed.load(Ordering::Relaxed)
    }

    /// The rehearsal begins anew, without faults.
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
        *self.shown() = ViewerState::default();
        self.stands_still(None);
    }

    pub fn ends(&self, result: &[String]) {
        self.shown().result = result.to_vec();
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn result(&self) -> Vec<String> {
        self.shown().result.clone()
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

    /// Pauses for the viewer: as long as they like, and `length` at the usual speed.
    pub(super) async fn pause_for(&self, length: Duration) {
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
            let mut shown = self.shown();
            shown.lines.push_back(line.to_owned());
            while shown.lines.len() > MAX_LINES {
                shown.lines.pop_front();
            }
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.shown().lines.iter().cloned().collect()
    }

    pub(super) fn add_block(&self, chain: &str, block: SeenBlock) {
        let mut shown = self.shown();
        let blocks = shown.blocks.entry(chain.to_owned()).or_default();
        blocks.push_back(block);
        while blocks.len() > MAX_BLOCKS {
            blocks.pop_front();
        }
    }

    pub fn blocks(&self) -> BTreeMap<String, Vec<SeenBlock>> {
        self.shown()
            .blocks
            .iter()
            .map(|(chain, blocks)| (chain.clone(), blocks.iter().cloned().collect()))
            .collect()
    }

    pub fn ask(&self, fault: InjectedFault) {
        self.shown().asked.insert(fault);
        self.changed.notify_waiters();
    }

    /// The faults that are asked for and still to come.
    pub fn asked(&self) -> Vec<InjectedFault> {
        self.shown().asked.iter().copied().collect()
    }

    /// Takes a fault that was asked for: true once.
    pub(super) fn take(&self, fault: InjectedFault) -> bool {
        self.shown().asked.remove(&fault)
    }

    pub(super) fn stands_still(&self, since: Option<Timestamp>) {
        *self.still.lock() = since;
    }

    pub fn still(&self) -> Option<Timestamp> {
        *self.still.lock()
    }
}

/// A chain as the rehearsal's clock sees it: what a node tells of its own clock means nothing there.
pub(super) struct ControlledChain {
    pub node: Arc<dyn Chain>,
    pub controls: Arc<Controls>,
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
    fn sight(&self) -> Sight {
        let unmoved = self.controls.still().map_or(SignedDuration::ZERO, |since| {
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
        invented_nodes(head, unmoved, 0)
    }
    async fn doubt(&self) {
        self.node.doubt().await;
    }
    async fn changed(&self) {
        self.node.changed().await;
    }
}

/// Two invented nodes that agree, so that a stall can be told from a node that hangs.
pub(super) fn invented_nodes(head: u64, unmoved: SignedDuration, lag: u64) -> Sight {
    let endpoint = |name: &str| EndpointSight {
        name: name.to_owned(),
        answers: true,
        head,
        unmoved,
        trouble: None,
        interval: None,
    };
    Sight {
        endpoints: vec![
            endpoint("ws://one.invented"),
            endpoint("ws://another.invented"),
        ],
        lag: Some(lag),
        unseen: SignedDuration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_lasts_until_the_viewer_goes_on() {
        let controls = Arc::new(Controls::default());
        controls.pause(true);
        let waiting = tokio::spawn({
            let controls = controls.clone();
            async move { controls.pause_for(Duration::from_millis(1)).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        controls.pause(false);
        waiting.await.unwrap();
        controls.set_speed(1);
        assert_eq!(controls.speed(), 10, "it is not brought to a standstill");
        // Begun again, it waits for nothing.
        controls.begin_again();
        controls.pause_for(Duration::from_secs(1_000_000)).await;
    }

    #[test]
    fn what_was_asked_for_comes_once() {
        let controls = Controls::default();
        controls.ask(InjectedFault::Stall);
        controls.ask(InjectedFault::Stall);
        assert!(
            controls.take(InjectedFault::Stall)
                && !controls.take(InjectedFault::Stall)
                && !controls.take(InjectedFault::Crash)
        );
        (0..300).for_each(|i| controls.tell(&format!("{i}")));
        assert_eq!(
            (controls.lines().len(), controls.lines().last().cloned()),
            (MAX_LINES, Some("299".into()))
        );
    }
}
