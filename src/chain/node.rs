//! One chain's node: connected, followed over finalized blocks, and read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use subxt::{
    OnlineClient, OnlineClientAtBlock, SubstrateConfig,
    config::RpcConfigFor,
    ext::codec::{Compact, Decode},
    rpcs::{RpcClient, client::RpcParams, rpc_params},
};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};

use super::read::read;
use crate::{
    domain::{block::Block, hex},
    ports::{Chain, ChainError, Head},
};

pub(super) type At = OnlineClientAtBlock<SubstrateConfig>;

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// Without a new head for so long, the node is asked, since a stream can end silently.
const SILENCE: Duration = Duration::from_secs(20);

/// So many blocks away is near.
const NEAR: u64 = 128;

/// The newest head a stream has shown.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Raised with each connection and each head.
    turn: u64,
    number: u64,
    hash: Option<subxt::utils::H256>,
    at: Option<std::time::Instant>,
    ended: bool,
}

struct Connection {
    client: OnlineClient<SubstrateConfig>,
    rpc: RpcClient,
    follower: JoinHandle<()>,
    lag: Arc<AtomicU64>,
    /// The last block read, whose metadata its child's events may need.
    parent: Mutex<Option<(u64, Arc<At>)>>,
    hashes: Mutex<Hashes>,
}

/// Hashes around the block whose hash was asked for last.
#[derive(Default)]
struct Hashes {
    asked: u64,
    known: BTreeMap<u64, String>,
}

impl Connection {
    /// A block's hash. Whoever halves a gap ends among neighbours: their hashes come in one call.
    async fn hash(&self, number: u64, finalized: u64) -> Result<Option<String>, ChainError> {
        let mut hashes = self.hashes.lock().await;
        if let Some(hash) = hashes.known.get(&number) {
            return Ok(Some(hash.clone()));
        }
        let near = number.abs_diff(std::mem::replace(&mut hashes.asked, number)) <= NEAR;
        hashes.known.clear();
        if near && number < finalized {
            let numbers: Vec<u64> = (number.saturating_sub(NEAR)..=finalized.min(number + NEAR)).collect();
            // A node that knows no lists is asked for the one hash.
            let list = self.rpc.request::<Vec<Option<String>>>("chain_getBlockHash", rpc_params![&numbers]);
            if let Ok(list) = answer(list).await {
                hashes.known = numbers.into_iter().zip(list).filter_map(|(n, hash)| Some((n, hash?))).collect();
            }
        }
        match hashes.known.get(&number) {
            Some(hash) => Ok(Some(hash.clone())),
            None => answer(self.rpc.request("chain_getBlockHash", rpc_params![number])).await,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// A chain reached by the first of its endpoints that answers.
pub struct Node {
    endpoints: Vec<String>,
    connection: Mutex<Option<Arc<Connection>>>,
    seen: watch::Sender<Seen>,
    taken: AtomicU64,
}

impl Node {
    pub fn new(endpoints: Vec<String>) -> Self {
        Self { endpoints, connection: Mutex::new(None), seen: watch::Sender::new(Seen::default()), taken: AtomicU64::new(0) }
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
        for endpoint in &self.endpoints {
            match timeout(ANSWER, self.connect(endpoint)).await {
                Ok(Ok(connection)) => {
                    let connection = Arc::new(connection);
                    *held = Some(connection.clone());
                    return Ok(connection);
                }
                Ok(Err(reason)) => reasons.push(format!("{}: {}", host(endpoint), reason.replace(endpoint.as_str(), host(endpoint)))),
                Err(_) => reasons.push(format!("{}: no answer within {} s", host(endpoint), ANSWER.as_secs())),
            }
        }
        Err(ChainError::Unreachable(format!("no node answers ({}); check the endpoints in herald.yaml and the node", reasons.join("; "))))
    }

    async fn connect(&self, endpoint: &str) -> Result<Connection, String> {
        let rpc = RpcClient::from_insecure_url(endpoint).await.map_err(|e| root_cause(&e))?;
        let client = OnlineClient::<SubstrateConfig>::from_rpc_client(rpc.clone()).await.map_err(|e| root_cause(&e))?;
        let lag = Arc::new(AtomicU64::new(0));
        self.seen.send_modify(|s| *s = Seen { turn: s.turn + 1, ..Seen::default() });
        let follower = tokio::spawn(follow(client.clone(), rpc.clone(), self.seen.clone(), lag.clone()));
        Ok(Connection { client, rpc, follower, lag, parent: Mutex::new(None), hashes: Mutex::default() })
    }

    /// After a fault: the next call connects anew.
    async fn drop_connection(&self) {
        *self.connection.lock().await = None;
    }

    async fn try_head(&self) -> Result<Head, ChainError> {
        let connection = self.connected().await?;
        let seen = self.seen.borrow().clone();
        self.taken.store(seen.turn, Ordering::Relaxed);
        let fresh = seen.at.is_some_and(|at| at.elapsed() < SILENCE);
        let number = if fresh {
            seen.number
        } else {
            let at = answer(connection.client.at_current_block()).await?;
            if at.block_number() > seen.number && seen.at.is_some() {
                self.seen.send_modify(|s| s.ended = true);
            }
            at.block_number().max(seen.number)
        };
        let genesis = format!("{:?}", connection.client.genesis_hash());
        Ok(Head { genesis, number, lag: connection.lag.load(Ordering::Relaxed) })
    }

    async fn try_block(&self, number: u64) -> Result<Block, ChainError> {
        let connection = self.connected().await?;
        let seen = self.seen.borrow().clone();
        let at = match seen.hash.filter(|_| seen.number == number) {
            Some(hash) => answer(connection.client.at_block_hash_and_number(hash, number)).await?,
            None => answer(connection.client.at_block(number)).await?,
        };
        let at = Arc::new(at);
        let mut last = connection.parent.lock().await;
        let parent = match last.take() {
            Some((n, parent)) if n + 1 == number => Some(parent),
            // A node that pruned the parent still has this block: its own metadata has to do.
            _ if number > 0 => match answer(connection.client.at_block(number - 1)).await {
                Ok(parent) => Some(Arc::new(parent)),
                Err(ChainError::Gone(_)) => None,
                Err(error) => return Err(error),
            },
            _ => None,
        };
        *last = Some((number, at.clone()));
        drop(last);
        read(&at, parent.as_deref()).await
    }

    /// The chain's own name, as its node says.
    pub async fn name(&self) -> Result<String, ChainError> {
        let connection = self.connected().await?;
        let methods = subxt::rpcs::methods::LegacyRpcMethods::<RpcConfigFor<SubstrateConfig>>::new(connection.rpc.clone());
        answer(methods.system_chain()).await
    }
}

pub(super) async fn answer<T, E: std::error::Error>(call: impl Future<Output = Result<T, E>>) -> Result<T, ChainError> {
    match timeout(ANSWER, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(answered(root_cause(&error))),
        Err(_) => Err(ChainError::Unreachable(format!("the node did not answer within {} s", ANSWER.as_secs()))),
    }
}

/// Scheme and host: what follows may hold a provider's key.
fn host(endpoint: &str) -> &str {
    let start = endpoint.find("://").map_or(0, |i| i + 3);
    let end = endpoint.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(endpoint.len(), |i| start + i);
    let shown = endpoint.get(..end).unwrap_or_default();
    // A name and password before the host are left out too.
    if shown.contains('@') { "a node" } else { shown }
}

/// The storage key of `System.LastRuntimeUpgrade`, the same on every chain.
const LAST_UPGRADE: &str = "0x26aa394eea5630e07c48ae0c9558cef7f9cce9c888469bb1a0dceaa129672ef8";

/// How nodes say that a block's state was pruned.
const GONE: [&str; 5] = ["discarded", "unknown block", "unknownblock", "not found", "pruned"];

fn answered(reason: String) -> ChainError {
    let lower = reason.to_lowercase();
    // "Function … was not found" is of the runtime, not of the block.
    let gone = !lower.contains("function") && GONE.iter().any(|words| lower.contains(words));
    if gone { ChainError::Gone(reason) } else { ChainError::Answer(reason) }
}

/// The error and what is behind it, each said once.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = inner.source();
    }
    text
}

/// Keeps the newest finalized head in `seen` until the stream ends or breaks.
async fn follow(client: OnlineClient<SubstrateConfig>, rpc: RpcClient, seen: watch::Sender<Seen>, lag: Arc<AtomicU64>) {
    if let Ok(mut blocks) = client.stream_blocks().await {
        while let Some(Ok(block)) = blocks.next().await {
            let (number, hash) = (block.number(), block.hash());
            seen.send_modify(|s| {
                *s = Seen { turn: s.turn + 1, number, hash: Some(hash), at: Some(std::time::Instant::now()), ended: false }
            });
            if let Ok(Ok(best)) = timeout(ANSWER, rpc.request::<Value>("chain_getHeader", RpcParams::new())).await {
                let best =
                    best.get("number").and_then(Value::as_str).and_then(|n| u64::from_str_radix(n.trim_start_matches("0x"), 16).ok());
                lag.store(best.map_or(0, |b| b.saturating_sub(number)), Ordering::Relaxed);
            }
        }
    }
    // A node that ends every subscription at once is not asked again without a breath.
    tokio::time::sleep(Duration::from_secs(1)).await;
    seen.send_modify(|s| {
        s.turn += 1;
        s.ended = true;
    });
}

#[async_trait]
impl Chain for Node {
    async fn head(&self) -> Result<Head, ChainError> {
        let head = self.try_head().await;
        if head.is_err() {
            self.drop_connection().await;
        }
        head
    }

    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        let block = self.try_block(number).await;
        if matches!(block, Err(ChainError::Unreachable(_))) {
            self.drop_connection().await;
        }
        block
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        let connection = self.connected().await?;
        let seen = self.seen.borrow().clone();
        let hash = match seen.hash.filter(|_| seen.number == number) {
            Some(hash) => Some(format!("{hash:?}")),
            None => connection.hash(number, seen.number).await?,
        };
        let hash = hash.ok_or_else(|| ChainError::Gone(format!("block {number} is not there")))?;
        let value: Option<String> = answer(connection.rpc.request("state_getStorage", rpc_params![LAST_UPGRADE, hash])).await?;
        let bytes = value.as_deref().and_then(hex::decode);
        match bytes.and_then(|b| Compact::<u32>::decode(&mut &b[..]).ok()) {
            Some(version) => Ok(version.0),
            // A chain that never ran an upgrade has no such value yet.
            None => self.block(number).await.map(|b| b.spec_version),
        }
    }

    async fn changed(&self) {
        let mut seen = self.seen.subscribe();
        let taken = self.taken.load(Ordering::Relaxed);
        // The sender lives as long as we do, so an error can't come; if it did, we would look again.
        let _ = seen.wait_for(|s| s.turn > taken).await;
    }
}
