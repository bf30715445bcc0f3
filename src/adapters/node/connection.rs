//! The connection to one node, which follows its finalized heads and reads its blocks.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use subxt::{
    OnlineClient, SubstrateConfig,
    config::RpcConfigFor,
    ext::codec::{Compact, Decode},
    rpcs::{RpcClient, rpc_params},
    utils::H256,
};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};

use super::{
    allowance::Allowance,
    endpoint::EndpointClient,
    error::{answer, root_cause},
    follower::{Follower, SeenHead, best_number},
    pending::{self, BlockToRead},
    read::{self, At, LAST_UPGRADE_KEY},
    requests::OpenError,
};
use crate::{
    domain::{
        chain::{block::Block, pending::PendingChanges},
        hex,
    },
    ports::ChainError,
};

/// The longest silence of a stream of heads before the node is asked: a stream can end without a word.
const MAX_STREAM_SILENCE: Duration = Duration::from_secs(20);

pub(super) struct Connection {
    /// The endpoint's place in the list.
    pub index: usize,
    pub genesis: String,
    endpoint: EndpointClient,
    client: OnlineClient<SubstrateConfig>,
    rpc: RpcClient,
    follower: JoinHandle<()>,
    lag: Arc<AtomicU64>,
    /// The last blocks read, whose metadata their children's events may need.
    recent: Mutex<BTreeMap<u64, Arc<At>>>,
    hashes: Mutex<Hashes>,
    /// The highest block this node has shown as finalized.
    final_to: AtomicU64,
    /// True once it has shown that it holds what was read before.
    pub vouched: AtomicBool,
    /// True once it showed another block, and so did all others.
    pub rewritten: AtomicBool,
    /// True once its head was compared with the others', and is believed.
    pub compared: AtomicBool,
    /// The number of calls in a row that were not answered.
    pub faults: AtomicU64,
}

/// Hashes around the block whose hash was asked for last.
#[derive(Default)]
struct Hashes {
    asked: u64,
    known: BTreeMap<u64, String>,
    /// True for a node that knows no lists of numbers.
    one_by_one: bool,
}

/// The lag while no node has told it.
const UNKNOWN_LAG: u64 = u64::MAX;

/// The number of blocks on either side whose hashes are asked for together with a block's.
const NEAR_BLOCKS: u64 = 128;

impl Drop for Connection {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Connection {
    /// Opens a connection to an endpoint. `allowance` is what the endpoint allows, and `configs` the metadata of chains
    /// that were connected before, by genesis: it is large, so it is not asked for again.
    pub async fn open(
        index: usize,
        url: &str,
        allowance: Arc<Allowance>,
        configs: &Configs,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<Self, OpenError> {
        let failed = |error: &dyn std::error::Error| OpenError::Failed(root_cause(error));
        let endpoint = EndpointClient::open(url, allowance).await?;
        let rpc = endpoint.rpc();
        let genesis: H256 = rpc
            .request("chain_getBlockHash", rpc_params![0])
            .await
            .map_err(|e| failed(&e))?;
        let config = configs.lock().entry(genesis).or_default().clone();
        let client = OnlineClient::from_rpc_client_with_config(config, rpc.clone())
            .await
            .map_err(|e| failed(&e))?;
        let lag = Arc::new(AtomicU64::new(UNKNOWN_LAG));
        let mut id = 0;
        seen.send_modify(|s| {
            id = s.connection + 1;
            *s = SeenHead {
                connection: id,
                turn: s.turn + 1,
                at: Some(Instant::now()),
                ..SeenHead::default()
            };
        });
        let follower = Follower {
            id,
            endpoint: endpoint.clone(),
            client: client.clone(),
            seen: seen.clone(),
            lag: lag.clone(),
            asks_lag: Arc::default(),
        };
        Ok(Self {
            index,
            genesis: format!("{genesis:?}"),
            endpoint,
            client,
            rpc,
            follower: tokio::spawn(follower.run()),
            lag,
            recent: Mutex::default(),
            hashes: Mutex::default(),
            final_to: AtomicU64::new(0),
            vouched: false.into(),
            rewritten: false.into(),
            compared: false.into(),
            faults: AtomicU64::new(0),
        })
    }

    /// Best minus finalized, in blocks.
    pub fn lag(&self) -> Option<u64> {
        Some(self.lag.load(Ordering::Relaxed)).filter(|lag| *lag != UNKNOWN_LAG)
    }

    /// Number and hash of the newest finalized block.
    pub async fn finalized(
        &self,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<(u64, String), ChainError> {
        let head = self.newest(seen).await?;
        self.final_to.fetch_max(head.0, Ordering::Relaxed);
        Ok(head)
    }

    /// Refuses a block above the node's finalized head, since asked by number a node answers with its best branch too. The
    /// head may have come from another connection, to a node that is ahead of this one.
    async fn must_be_final(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<(), ChainError> {
        if number <= self.final_to.load(Ordering::Relaxed)
            || number <= self.finalized(seen).await?.0
        {
            return Ok(());
        }
        Err(ChainError::NotYet(format!(
            "the node that answers now has not finalized block {number} yet; it is read later"
        )))
    }

    async fn newest(&self, seen: &watch::Sender<SeenHead>) -> Result<(u64, String), ChainError> {
        let now = seen.borrow().clone();
        if let Some(hash) = now
            .hash
            .filter(|_| now.at.is_some_and(|at| at.elapsed() < MAX_STREAM_SILENCE))
        {
            return Ok((now.number, format!("{hash:?}")));
        }
        let (hash, number) = match answer(self.endpoint.finalized()).await {
            Ok((hash, header)) => (hash, header.number),
            Err(error @ ChainError::Unreachable(_)) => return Err(error),
            // A node that has the newer methods alone.
            Err(_) => {
                let at = answer(self.client.at_current_block()).await?;
                (at.block_hash(), at.block_number())
            }
        };
        // Finality that hangs brings no head: how far it is behind is asked for too.
        if let Some(best) = best_number(&self.rpc).await {
            self.lag
                .store(best.saturating_sub(number), Ordering::Relaxed);
        }
        if number > now.number && now.at.is_some_and(|at| at.elapsed() >= MAX_STREAM_SILENCE) {
            // The stream has gone silent while the chain goes on.
            self.endpoint.refuse_subscription();
            seen.send_modify(|s| s.ended = true);
        }
        match now.hash {
            Some(hash) if now.number > number => Ok((now.number, format!("{hash:?}"))),
            _ => Ok((number, format!("{hash:?}"))),
        }
    }

    /// The hash the node has for a number; nothing where it has none.
    pub async fn hash_at(&self, number: u64) -> Result<Option<String>, ChainError> {
        answer(self.rpc.request("chain_getBlockHash", rpc_params![number])).await
    }

    /// A block's hash. A search that halves a gap ends among neighbours, so their hashes come in one call.
    async fn hash(&self, number: u64) -> Result<Option<String>, ChainError> {
        let finalized = self.final_to.load(Ordering::Relaxed);
        let mut hashes = self.hashes.lock().await;
        if let Some(hash) = hashes.known.get(&number) {
            return Ok(Some(hash.clone()));
        }
        let near = number.abs_diff(std::mem::replace(&mut hashes.asked, number)) <= NEAR_BLOCKS;
        hashes.known.clear();
        if near && number < finalized && !hashes.one_by_one {
            let numbers: Vec<u64> = (number.saturating_sub(NEAR_BLOCKS)
                ..=finalized.min(number + NEAR_BLOCKS))
                .collect();
            // A node that knows no lists is asked for the one hash.
            let list = self
                .rpc
                .request::<Vec<Option<String>>>("chain_getBlockHash", rpc_params![&numbers]);
            match answer(list).await {
                Ok(list) => {
                    hashes.known = numbers
                        .into_iter()
                        .zip(list)
                        .filter_map(|(n, hash)| Some((n, hash?)))
                        .collect()
                }
                Err(ChainError::Unreachable(reason)) => {
                    return Err(ChainError::Unreachable(reason));
                }
                Err(_) => hashes.one_by_one = true,
            }
        }
        match hashes.known.get(&number) {
            Some(hash) => Ok(Some(hash.clone())),
            None => self.hash_at(number).await,
        }
    }

    async fn at(&self, number: u64, seen: &watch::Sender<SeenHead>) -> Result<At, ChainError> {
        let hash = self.known_hash(number, seen).await?;
        answer(self.client.at_block_hash_and_number(hash, number)).await
    }

    /// The hash of a block: the stream has told that of the newest head.
    async fn known_hash(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<H256, ChainError> {
        let newest = seen.borrow().clone();
        if let Some(hash) = newest.hash.filter(|_| newest.number == number) {
            return Ok(hash);
        }
        let hash = self
            .hash(number)
            .await?
            .ok_or_else(|| ChainError::Absent(format!("block {number} is not there")))?;
        hash.parse::<H256>().map_err(|e| {
            ChainError::Answer(format!("the hash of block {number} can't be read: {e}"))
        })
    }

    /// Reads of a block what its state and its header prove.
    pub async fn state(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<Block, ChainError> {
        self.must_be_final(number, seen).await?;
        let hash = self.known_hash(number, seen).await?;
        read::state(&self.endpoint, hash, number).await
    }

    /// Reads a block.
    pub async fn block(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<Block, ChainError> {
        self.must_be_final(number, seen).await?;
        let at = Arc::new(self.at(number, seen).await?);
        let parent = self.parent(number, seen).await?;
        let block = read::read(&self.endpoint, &at, parent.as_deref()).await;
        let mut recent = self.recent.lock().await;
        recent.insert(number, at);
        while recent.len() > MAX_RECENT_BLOCKS {
            recent.pop_first();
        }
        block
    }

    /// The parent of a block, unless the node has pruned it: then the block's own metadata has to do.
    async fn parent(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<Option<Arc<At>>, ChainError> {
        let Some(number) = number.checked_sub(1) else {
            return Ok(None);
        };
        if let Some(parent) = self.recent.lock().await.get(&number) {
            return Ok(Some(parent.clone()));
        }
        match self.at(number, seen).await {
            Ok(parent) => Ok(Some(Arc::new(parent))),
            Err(ChainError::Gone(_) | ChainError::Absent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `System.LastRuntimeUpgrade` at a block; nothing on a chain that never ran an upgrade.
    pub async fn last_upgrade(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<Option<u32>, ChainError> {
        self.must_be_final(number, seen).await?;
        let hash = format!("{:?}", self.known_hash(number, seen).await?);
        let value = self.storage(LAST_UPGRADE_KEY, &hash).await?;
        Ok(value
            .and_then(|b| Compact::<u32>::decode(&mut &b[..]).ok())
            .map(|v| v.0))
    }

    /// The hash of the code at a block: BLAKE2b-256, as an authorization names it.
    pub async fn code_hash(&self, number: u64) -> Result<Option<String>, ChainError> {
        let hash = self
            .hash_at(number)
            .await?
            .ok_or_else(|| ChainError::Absent(format!("block {number} is not there")))?;
        // Nodes that hash for us spare a megabyte or two.
        if let Ok(Some(hash)) = answer(
            self.rpc
                .request::<Option<String>>("state_getStorageHash", rpc_params![CODE_KEY, &hash]),
        )
        .await
        {
            return Ok(Some(hash));
        }
        Ok(self
            .storage(CODE_KEY, &hash)
            .await?
            .map(|code| read::blake2(&code)))
    }

    pub async fn enactment(
        &self,
        number: u64,
        referendum: u32,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<Option<u64>, ChainError> {
        let at = self.at(number, seen).await?;
        read::enactment(&at, referendum).await
    }

    pub async fn pending_changes(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<PendingChanges, ChainError> {
        let hash = self.known_hash(number, seen).await?;
        let at = answer(self.client.at_block_hash_and_number(hash, number)).await;
        let parent = self.parent(number, seen).await.ok().flatten();
        let block = BlockToRead {
            hash,
            at: at
                .as_ref()
                .map_err(|error| ChainError::Answer(error.to_string())),
            parent: parent.as_deref(),
        };
        pending::read(&self.endpoint, block).await
    }

    /// The parachains in the relay's claim queue; nothing where the runtime has none.
    pub async fn parachains_with_core(
        &self,
        number: u64,
        seen: &watch::Sender<SeenHead>,
    ) -> Result<Option<BTreeSet<u32>>, ChainError> {
        let at = self.at(number, seen).await?;
        let metadata = at.metadata_ref();
        let host = metadata.runtime_api_trait_by_name("ParachainHost");
        if host.is_none_or(|host| host.method_by_name("claim_queue").is_none()) {
            return Ok(None);
        }
        let params = rpc_params!["ParachainHost_claim_queue", "0x", at.block_hash()];
        let queue: String = answer(self.rpc.request("state_call", params)).await?;
        let bytes = hex::decode(&queue).unwrap_or_default();
        let queue = Vec::<(u32, Vec<u32>)>::decode(&mut &bytes[..])
            .map_err(|e| ChainError::Answer(format!("the claim queue can't be read: {e}")))?;
        Ok(Some(
            queue
                .into_iter()
                .flat_map(|(_, parachains)| parachains)
                .collect(),
        ))
    }

    async fn storage(&self, key: &str, hash: &str) -> Result<Option<Vec<u8>>, ChainError> {
        let value: Option<String> =
            answer(self.rpc.request("state_getStorage", rpc_params![key, hash])).await?;
        Ok(value.as_deref().and_then(hex::decode))
    }

    /// The chain's own name, as its node says.
    pub async fn name(&self) -> Result<String, ChainError> {
        let methods = subxt::rpcs::methods::LegacyRpcMethods::<RpcConfigFor<SubstrateConfig>>::new(
            self.rpc.clone(),
        );
        answer(methods.system_chain()).await
    }
}

/// Storage key of the code.
const CODE_KEY: &str = "0x3a636f6465";

/// The metadata of chains by their genesis: a clone shares what it holds.
pub(super) type Configs = parking_lot::Mutex<HashMap<H256, SubstrateConfig>>;

/// Blocks whose metadata is kept at hand.
const MAX_RECENT_BLOCKS: usize = 16;
