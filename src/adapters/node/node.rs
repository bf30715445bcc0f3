//! One chain over its list of endpoints: one is read, the others are witnesses.
//!
//! Before a head is believed, each witness that answers is asked for its hash at the same height. A node
//! that stands alone against others is left; where two differ and no third decides, nothing is believed
//! until they agree. A node that stays behind is left for one that goes on, and so is one that does not
//! hold the blocks that were read before.

use std::{
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use jiff::SignedDuration;
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use super::{
    connection::{ANSWER, Connection, SeenHead},
    witness::{Witness, WitnessAnswer, host},
};
use crate::{
    domain::chain::{
        block::{Block, Memory},
        observation::Sight,
    },
    ports::{Chain, ChainError, Head},
};

/// A node so many blocks behind another one is left for it.
const BEHIND: u64 = 20;
/// One that is left is looked at again after this.
const PROBATION: Duration = Duration::from_secs(60);

pub struct Node {
    witnesses: Vec<Witness>,
    connection: Mutex<Option<Arc<Connection>>>,
    seen: watch::Sender<SeenHead>,
    taken: AtomicU64,
    /// What was known of the chain when its head was asked for last.
    known: StdMutex<Option<Memory>>,
    /// When a head was last believed.
    believed: StdMutex<Instant>,
    /// When those that were left may be looked at again.
    probation: StdMutex<Option<Instant>>,
}

/// What the comparison says of the node that is read.
enum Comparison {
    Believed,
    /// Go on with another one.
    Leave(String),
    /// Believe nobody for now.
    Hold(String),
}

impl Node {
    /// The preferred endpoint first.
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            witnesses: endpoints.into_iter().map(Witness::new).collect(),
            connection: Mutex::new(None),
            seen: watch::Sender::new(SeenHead::default()),
            taken: AtomicU64::new(0),
            known: StdMutex::new(None),
            believed: StdMutex::new(Instant::now()),
            probation: StdMutex::new(None),
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
        let mut reasons = Vec::new();
        // Those that were left come last: better than none.
        let (left, well): (Vec<_>, Vec<_>) = self
            .witnesses
            .iter()
            .enumerate()
            .partition(|(_, w)| w.is_left());
        for (index, witness) in well.into_iter().chain(left) {
            match timeout(ANSWER, Connection::open(index, &witness.url, &self.seen)).await {
                Ok(Ok(connection)) => {
                    let connection = Arc::new(connection);
                    *held = Some(connection.clone());
                    return Ok(connection);
                }
                Ok(Err(reason)) => {
                    witness.silent();
                    reasons.push(format!(
                        "{}: {}",
                        witness.name(),
                        reason.replace(witness.url.as_str(), host(&witness.url))
                    ));
                }
                Err(_) => {
                    witness.silent();
                    reasons.push(format!(
                        "{}: no answer within {} s",
                        witness.name(),
                        ANSWER.as_secs()
                    ));
                }
            }
        }
        Err(ChainError::Unreachable(format!(
            "no node answers ({}); check the endpoints in herald.yaml and the node",
            reasons.join("; ")
        )))
    }

    /// After a fault: the next call connects anew.
    async fn drop_connection(&self) {
        *self.connection.lock().await = None;
    }

    async fn try_head(&self, known: Option<&Memory>) -> Result<Head, ChainError> {
        self.forgive();
        // Each turn leaves one endpoint, so there is an end.
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
            witness.saw(&connection.genesis, number);
            match self.judge(&connection, known, (number, &hash)).await? {
                Comparison::Believed => {
                    witness.set_trouble(None);
                    self.believe();
                    connection.judged.store(true, Ordering::Relaxed);
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
        *self.believed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A node that breaks off, or twice has no answer to what others answer, is left for another one.
    async fn fault(&self, connection: &Connection, error: &ChainError) {
        let again = match error {
            ChainError::Unreachable(_) => true,
            ChainError::Answer(_) => connection.faults.fetch_add(1, Ordering::Relaxed) > 0,
            _ => false,
        };
        if !again {
            return;
        }
        if self.witnesses.len() > 1 {
            self.leave(connection.index, format!("does not serve: {error}"));
        }
        self.drop_connection().await;
    }

    /// The connection, once its head was looked at: another node may have come in between.
    async fn judged(&self) -> Result<Arc<Connection>, ChainError> {
        for _ in 0..=self.witnesses.len() {
            let connection = self.connected().await?;
            if connection.judged.load(Ordering::Relaxed) {
                return Ok(connection);
            }
            let known = self
                .known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            self.try_head(known.as_ref()).await?;
        }
        Err(ChainError::Unreachable(
            "no node answers for long enough".to_owned(),
        ))
    }

    /// What one call came to, with what follows from a fault.
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
        let mut probation = self
            .probation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        probation.get_or_insert(Instant::now() + PROBATION);
    }

    /// What was left a while ago may show itself anew.
    fn forgive(&self) {
        let mut probation = self
            .probation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if probation.is_some_and(|at| at <= Instant::now()) {
            *probation = None;
            self.witnesses.iter().for_each(|w| w.set_trouble(None));
        }
    }

    /// Compares the node that is read with what was read before, and with the witnesses.
    async fn judge(
        &self,
        connection: &Connection,
        known: Option<&Memory>,
        head: (u64, &str),
    ) -> Result<Comparison, ChainError> {
        let others: Vec<(usize, &Witness)> = self
            .witnesses
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != connection.index)
            .collect();
        let heard = join_all(others.iter().map(|(_, w)| w.testify())).await;
        let heard: Vec<(usize, &Witness, Option<WitnessAnswer>)> = others
            .into_iter()
            .zip(heard)
            .map(|((i, w), t)| (i, w, t))
            .collect();
        if let Some(known) = known {
            if known.genesis != connection.genesis {
                return Ok(other_genesis(known, &connection.genesis, &heard));
            }
            if let Some(verdict) = self
                .holds_what_was_read(connection, known, head, &heard)
                .await?
            {
                return Ok(verdict);
            }
        }
        let (mut agree, mut differ) = (Vec::new(), Vec::new());
        for (index, witness, testimony) in heard
            .iter()
            .filter_map(|(i, w, t)| Some((*i, *w, t.as_ref()?)))
        {
            if testimony.genesis != connection.genesis && known.is_none() {
                // Nothing is known yet that would say which one is meant.
                differ.push((index, 0, testimony.genesis.clone()));
                continue;
            }
            if testimony.genesis != connection.genesis {
                self.leave(
                    index,
                    "belongs to another chain: its genesis is another one".to_owned(),
                );
                continue;
            }
            let (at, ours, theirs) = if testimony.number >= head.0 {
                (
                    head.0,
                    Some(head.1.to_owned()),
                    witness.hash_at(head.0).await,
                )
            } else {
                (
                    testimony.number,
                    connection.hash_at(testimony.number).await?,
                    Some(testimony.hash.clone()),
                )
            };
            match (ours, theirs) {
                (Some(ours), Some(theirs)) if ours != theirs => differ.push((index, at, theirs)),
                (Some(_), Some(_)) => agree.push((index, testimony.number)),
                // One of them no longer has the hash: nothing is said for or against.
                _ => {}
            }
        }
        if let Some((_, at, _)) = differ.first() {
            let words = format!("two nodes show different finalized blocks {at}");
            // Those that differ from this one may differ among themselves.
            let together =
                |hash: &String| differ.iter().filter(|(_, _, other)| other == hash).count();
            let against = differ
                .iter()
                .map(|(_, _, hash)| together(hash))
                .max()
                .unwrap_or(0);
            return Ok(if against > agree.len() + 1 {
                Comparison::Leave(format!(
                    "shows another finalized block {at} than {against} others"
                ))
            } else if against < agree.len() + 1 && !agree.is_empty() {
                for (index, at, _) in &differ {
                    self.leave(
                        *index,
                        format!(
                            "shows another finalized block {at} than {} others",
                            agree.len() + 1
                        ),
                    );
                }
                Comparison::Believed
            } else {
                Comparison::Hold(format!(
                    "{words}: nothing is announced until they agree; compare them with a block explorer and take the wrong one out of herald.yaml"
                ))
            });
        }
        for (index, number) in &agree {
            let behind = head.0.saturating_sub(*number);
            if behind > BEHIND {
                self.leave(*index, format!("is {behind} blocks behind"));
            } else if let Some(witness) = self.witnesses.get(*index) {
                witness.set_trouble(None);
            }
        }
        let best = agree.iter().map(|(_, number)| *number).max().unwrap_or(0);
        if best > head.0 + BEHIND {
            return Ok(Comparison::Leave(format!(
                "is {} blocks behind another node",
                best - head.0
            )));
        }
        Ok(Comparison::Believed)
    }

    /// Asked once of each connection: does it have the block that was read last?
    async fn holds_what_was_read(
        &self,
        connection: &Connection,
        known: &Memory,
        head: (u64, &str),
        heard: &[(usize, &Witness, Option<WitnessAnswer>)],
    ) -> Result<Option<Comparison>, ChainError> {
        if known.number > head.0 {
            // It is behind what was read already: another one may not be.
            let ahead = heard.iter().any(|(_, w, t)| {
                !w.is_left() && t.as_ref().is_some_and(|t| t.number >= known.number)
            });
            return Ok(ahead.then(|| {
                Comparison::Leave(format!(
                    "is {} blocks behind what was read before",
                    known.number - head.0
                ))
            }));
        }
        if connection.vouched.load(Ordering::Relaxed)
            && !connection.rewritten.load(Ordering::Relaxed)
        {
            return Ok(None);
        }
        let Some(hash) = connection.hash_at(known.number).await? else {
            return Ok(None);
        };
        if hash == known.hash {
            connection.vouched.store(true, Ordering::Relaxed);
            connection.rewritten.store(false, Ordering::Relaxed);
            return Ok(None);
        }
        let number = known.number;
        let mut against = 0;
        for (_, witness, _) in heard.iter().filter(|(_, _, t)| t.is_some()) {
            match witness.hash_at(number).await {
                Some(hash) if hash == known.hash => {
                    return Ok(Some(Comparison::Leave(format!(
                        "shows another block {number} than was read before"
                    ))));
                }
                Some(_) => against += 1,
                None => {}
            }
        }
        if against == 0 && !heard.is_empty() {
            let words = format!(
                "a node shows another block {number} than was read before, and no other one answers: which is right can't be told yet"
            );
            return Ok(Some(Comparison::Hold(words)));
        }
        // All that answer show another block: the chain itself was rolled back.
        connection.vouched.store(true, Ordering::Relaxed);
        connection.rewritten.store(true, Ordering::Relaxed);
        Ok(None)
    }

    /// The chain's own name, as its node says.
    pub async fn name(&self) -> Result<String, ChainError> {
        self.connected().await?.name().await
    }
}

/// A node of another genesis: a reset if all that answer show it, a wrong address if one still shows the known chain.
fn other_genesis(
    known: &Memory,
    genesis: &str,
    heard: &[(usize, &Witness, Option<WitnessAnswer>)],
) -> Comparison {
    let shows = |testimony: &Option<WitnessAnswer>, which: &str| {
        testimony.as_ref().is_some_and(|t| t.genesis == which)
    };
    if heard.iter().any(|(_, _, t)| shows(t, &known.genesis)) {
        return Comparison::Leave(
            "belongs to another chain: its genesis is another one".to_owned(),
        );
    }
    if heard.is_empty() || heard.iter().any(|(_, _, t)| shows(t, genesis)) {
        return Comparison::Believed;
    }
    Comparison::Hold(
        "a node shows a chain with another genesis, and the others don't answer: whether the chain was reset can't be told yet".to_owned(),
    )
}

#[async_trait]
impl Chain for Node {
    async fn head(&self, known: Option<&Memory>) -> Result<Head, ChainError> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known.cloned();
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
        let connection = self.judged().await?;
        let block = connection.block(number, &self.seen).await;
        self.noted(&connection, block).await
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        let connection = self.judged().await?;
        let version = connection.last_upgrade(number, &self.seen).await;
        match self.noted(&connection, version).await? {
            Some(version) => Ok(version),
            // A chain that never ran an upgrade has no such value yet.
            None => self.block(number).await.map(|b| b.spec_version),
        }
    }

    async fn code_hash(&self, number: u64) -> Result<Option<String>, ChainError> {
        self.judged().await?.code_hash(number).await
    }

    async fn enactment(&self, number: u64, referendum: u32) -> Result<Option<u64>, ChainError> {
        self.judged().await?.enactment(number, referendum).await
    }

    fn sight(&self) -> Sight {
        let believed = *self.believed.lock().unwrap_or_else(PoisonError::into_inner);
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
