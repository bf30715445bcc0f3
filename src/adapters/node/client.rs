//! One chain over its list of endpoints: one is read, the others are witnesses.
//!
//! Before a head is believed, each witness that answers is asked for its hash at the same height. A node
//! that stands alone against others is left; where two differ and no third decides, nothing is believed
//! until they agree. A node that stays behind is left for one that goes on, and so is one that does not
//! hold the blocks that were read before.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::SignedDuration;
use parking_lot::Mutex as SyncMutex;
use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};

use super::{
    comparison::{
        Comparison, OTHER_CHAIN, ask_witnesses, compare_with_known, majority, take_votes,
    },
    connection::{Configs, Connection},
    follower::SeenHead,
    requests::OpenError,
    witness::{Witness, host},
};
use crate::{
    domain::chain::{block::Block, memory::Memory, observation::Sight, pending::PendingChanges},
    ports::{Chain, ChainError, Head},
};

/// A node that is further behind another one is left for it.
const MAX_BLOCKS_BEHIND: u64 = 20;
/// The time for which a node that was left is not looked at.
const LEFT_FOR: Duration = Duration::from_secs(60);

/// The longest wait for a connection: several requests, each of which may have to be made by other means.
const OPEN_TIMEOUT: Duration = Duration::from_secs(90);
/// The pauses after which endpoints that have too many connections are asked again, before an error is said.
const PAUSES_AFTER_TOO_MANY: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// A chain as its endpoints show it.
pub struct Node {
    witnesses: Vec<Witness>,
    configs: Configs,
    connection: Mutex<Option<Arc<Connection>>>,
    seen: watch::Sender<SeenHead>,
    /// The turn of the head that was asked for last.
    taken: AtomicU64,
    /// The chain as it was known then.
    known: SyncMutex<Option<Memory>>,
    /// The time at which a head was last believed.
    believed: SyncMutex<Instant>,
    /// The time from which the nodes that were left may be looked at again.
    forgive_at: SyncMutex<Option<Instant>>,
}

impl Node {
    /// Makes a node of endpoints, the preferred one first.
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            witnesses: endpoints.into_iter().map(Witness::new).collect(),
            configs: Configs::default(),
            connection: Mutex::new(None),
            seen: watch::Sender::new(SeenHead::default()),
            taken: AtomicU64::new(0),
            known: SyncMutex::new(None),
            believed: SyncMutex::new(Instant::now()),
            forgive_at: SyncMutex::new(None),
        }
    }

    async fn connected(&self) -> Result<Arc<Connection>, ChainError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref()
            && !self.seen.borrow().ended
        {
            return Ok(connection.clone());
        }
        *held = None;
        let mut pauses = PAUSES_AFTER_TOO_MANY.iter();
        loop {
            let (reasons, too_many) = match self.open_first().await {
                Ok(connection) => return Ok(held.insert(connection).clone()),
                Err(failed) => failed,
            };
            match pauses.next().filter(|_| too_many) {
                Some(pause) => sleep(*pause).await,
                None => {
                    return Err(ChainError::Unreachable(format!(
                        "no node answers ({reasons}); check the endpoints in herald.yaml and the node"
                    )));
                }
            }
        }
    }

    /// Connects to the first endpoint that lets itself be connected; if none does, says why, and whether that may be
    /// another a moment later.
    async fn open_first(&self) -> Result<Arc<Connection>, (String, bool)> {
        let (mut reasons, mut too_many) = (Vec::new(), false);
        // The nodes that were left come last: better than none.
        let (left, well): (Vec<_>, Vec<_>) = self
            .witnesses
            .iter()
            .enumerate()
            .partition(|(_, w)| w.is_left());
        for (index, witness) in well.into_iter().chain(left) {
            let allowance = witness.allowance.clone();
            let opening =
                Connection::open(index, &witness.url, allowance, &self.configs, &self.seen);
            let reason = match timeout(OPEN_TIMEOUT, opening).await {
                Ok(Ok(connection)) => return Ok(Arc::new(connection)),
                Ok(Err(error)) => {
                    too_many |= matches!(error, OpenError::TooMany);
                    error
                        .to_string()
                        .replace(witness.url.as_str(), host(&witness.url))
                }
                Err(_) => format!("no answer within {} s", OPEN_TIMEOUT.as_secs()),
            };
            witness.note_silence();
            reasons.push(format!("{}: {reason}", witness.name()));
        }
        Err((reasons.join("; "), too_many))
    }

    /// Makes the next call connect anew.
    async fn drop_connection(&self) {
        *self.connection.lock().await = None;
    }

    async fn try_head(&self, known: Option<&Memory>) -> Result<Head, ChainError> {
        self.forgive();
        // Each round leaves one endpoint, so there is an end.
        for _ in 0..=self.witnesses.len() {
            let connection = self.connected().await?;
            self.taken.store(self.seen.borrow().turn, Ordering::Relaxed);
            let (number, hash) = match connection.finalized(&self.seen).await {
                Ok(head) => head,
                Err(error) => {
                    self.fault(&connection, &error).await;
                    return Err(error);
                }
            };
            let Some(witness) = self.witnesses.get(connection.index) else {
                break;
            };
            witness.note_head(&connection.genesis, number);
            match self.compare(&connection, known, (number, &hash)).await? {
                Comparison::Believed => {
                    witness.set_trouble(None);
                    self.believe();
                    connection.compared.store(true, Ordering::Relaxed);
                    let rewritten = connection.rewritten.load(Ordering::Relaxed);
                    return Ok(Head {
                        genesis: connection.genesis.clone(),
                        number,
                        hash,
                        rewritten,
                        lag: connection.lag().unwrap_or(0),
                    });
                }
                Comparison::Hold(reason) => return Err(ChainError::Disagree(reason)),
                Comparison::Leave(reason) => {
                    self.leave(connection.index, reason);
                    self.drop_connection().await;
                }
            }
        }
        Err(ChainError::Disagree(
            "no endpoint shows the chain that was read before; compare them with a block explorer"
                .to_owned(),
        ))
    }

    fn believe(&self) {
        *self.believed.lock() = Instant::now();
    }

    /// Leaves a node that breaks off, or twice has no answer to what others answer, for another one.
    async fn fault(&self, connection: &Connection, error: &ChainError) {
        let again = match error {
            ChainError::Unreachable(_) => true,
            // The metadata that events were read with may itself be wrong.
            ChainError::Undecodable(_) => {
                if connection.faults.load(Ordering::Relaxed) == 0 {
                    self.configs.lock().clear();
                }
                connection.faults.fetch_add(1, Ordering::Relaxed) == 1
            }
            // Another node may have whole what this one can't give.
            ChainError::Answer(_) | ChainError::NotYet(_) => {
                connection.faults.fetch_add(1, Ordering::Relaxed) == 1
            }
            _ => false,
        };
        if !again {
            return;
        }
        if self.witnesses.len() > 1 {
            self.leave(connection.index, format!("does not serve: {error}"));
        }
        // Another one may have been opened meanwhile.
        let mut held = self.connection.lock().await;
        held.take_if(|held| std::ptr::eq(held.as_ref(), connection));
    }

    /// The connection, once its head was compared: another node may have come in between.
    async fn compared_connection(&self) -> Result<Arc<Connection>, ChainError> {
        for _ in 0..=self.witnesses.len() {
            let connection = self.connected().await?;
            if connection.compared.load(Ordering::Relaxed) {
                return Ok(connection);
            }
            let known = self.known.lock().clone();
            self.try_head(known.as_ref()).await?;
        }
        Err(ChainError::Unreachable(
            "no node answers for long enough".to_owned(),
        ))
    }

    /// Passes on what came of a call, and does what follows from a fault.
    async fn noted<T>(
        &self,
        connection: &Connection,
        result: Result<T, ChainError>,
    ) -> Result<T, ChainError> {
        match &result {
            Ok(_) => {
                connection.faults.store(0, Ordering::Relaxed);
                self.believe();
            }
            Err(error) => self.fault(connection, error).await,
        }
        result
    }

    fn leave(&self, index: usize, reason: String) {
        let Some(witness) = self.witnesses.get(index) else {
            return;
        };
        if !witness.is_left() {
            tracing::warn!(node = witness.name(), "left: {reason}");
        }
        witness.set_trouble(Some(reason));
        let mut forgive_at = self.forgive_at.lock();
        forgive_at.get_or_insert(Instant::now() + LEFT_FOR);
    }

    /// Lets nodes that were left a while ago show themselves anew.
    fn forgive(&self) {
        let mut forgive_at = self.forgive_at.lock();
        if forgive_at.is_some_and(|at| at <= Instant::now()) {
            *forgive_at = None;
            self.witnesses.iter().for_each(|w| w.set_trouble(None));
        }
    }

    /// Compares the node that is read with what was read before, and with the witnesses.
    async fn compare(
        &self,
        connection: &Connection,
        known: Option<&Memory>,
        head: (u64, &str),
    ) -> Result<Comparison, ChainError> {
        let heard = ask_witnesses(&self.witnesses, connection.index).await;
        if let Some(known) = known
            && let Some(verdict) = compare_with_known(connection, known, head.0, &heard).await?
        {
            return Ok(verdict);
        }
        let votes = take_votes(connection, known.is_some(), head, &heard).await?;
        for index in &votes.strangers {
            self.leave(*index, OTHER_CHAIN.to_owned());
        }
        let Some((_, height, _)) = votes.differ.first() else {
            return Ok(self.compare_heights(head.0, &votes.agree));
        };
        let (verdict, left) = majority(&votes, *height);
        for (index, reason) in left {
            self.leave(index, reason);
        }
        Ok(verdict)
    }

    /// Leaves witnesses that stay behind, or the node itself if it does.
    fn compare_heights(&self, head: u64, witnesses: &[(usize, u64)]) -> Comparison {
        for (index, number) in witnesses {
            let behind = head.saturating_sub(*number);
            if behind > MAX_BLOCKS_BEHIND {
                self.leave(*index, format!("is {behind} blocks behind"));
            } else if let Some(witness) = self.witnesses.get(*index) {
                witness.set_trouble(None);
            }
        }
        let best = witnesses.iter().map(|(_, n)| *n).max().unwrap_or(0);
        if best > head + MAX_BLOCKS_BEHIND {
            let behind = best - head;
            return Comparison::Leave(format!("is {behind} blocks behind another node"));
        }
        Comparison::Believed
    }

    /// The chain's own name, as its node says.
    pub async fn name(&self) -> Result<String, ChainError> {
        self.connected().await?.name().await
    }
}

#[async_trait]
impl Chain for Node {
    async fn head(&self, known: Option<&Memory>) -> Result<Head, ChainError> {
        *self.known.lock() = known.cloned();
        let head = self.try_head(known).await;
        if head
            .as_ref()
            .is_err_and(|e| !matches!(e, ChainError::Disagree(_)))
        {
            self.drop_connection().await;
        }
        head
    }

    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        let connection = self.compared_connection().await?;
        let block = connection.block(number, &self.seen).await;
        self.noted(&connection, block).await
    }

    async fn state(&self, number: u64) -> Result<Block, ChainError> {
        let connection = self.compared_connection().await?;
        let block = connection.state(number, &self.seen).await;
        if block.is_ok() {
            // The block was at fault, and not the nodes that were left for it.
            self.witnesses.iter().for_each(|w| w.set_trouble(None));
            self.believe();
            // That it has the state is no reason to forget that it had no events.
            return block;
        }
        self.noted(&connection, block).await
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        let connection = self.compared_connection().await?;
        let version = connection.last_upgrade(number, &self.seen).await;
        match self.noted(&connection, version).await? {
            Some(version) => Ok(version),
            // A chain that never ran an upgrade has no such value yet.
            None => self.block(number).await.map(|b| b.spec_version),
        }
    }

    async fn code_hash(&self, number: u64) -> Result<Option<String>, ChainError> {
        self.compared_connection().await?.code_hash(number).await
    }

    async fn enactment(&self, number: u64, referendum: u32) -> Result<Option<u64>, ChainError> {
        self.compared_connection()
            .await?
            .enactment(number, referendum, &self.seen)
            .await
    }

    async fn pending_changes(&self, number: u64) -> Result<PendingChanges, ChainError> {
        let connection = self.compared_connection().await?;
        let read = connection.pending_changes(number, &self.seen).await;
        self.noted(&connection, read).await
    }

    async fn parachains_with_core(&self, number: u64) -> Result<Option<BTreeSet<u32>>, ChainError> {
        let connection = self.compared_connection().await?;
        connection.parachains_with_core(number, &self.seen).await
    }

    fn sight(&self) -> Sight {
        let believed = *self.believed.lock();
        let lag = self
            .connection
            .try_lock()
            .ok()
            .and_then(|held| held.as_ref().and_then(|c| c.lag()));
        Sight {
            endpoints: self.witnesses.iter().map(Witness::sight).collect(),
            lag,
            unseen: SignedDuration::try_from(believed.elapsed()).unwrap_or_default(),
        }
    }

    async fn doubt(&self) {
        self.drop_connection().await;
    }

    async fn changed(&self) {
        let mut seen = self.seen.subscribe();
        let taken = self.taken.load(Ordering::Relaxed);
        // The sender lives as long as we do, so an error can't come; if it did, we would look again.
        let _ = seen.wait_for(|s| s.turn > taken).await;
    }
}
