//! Follows the finalized heads of one connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use subxt::{
    OnlineClient, SubstrateConfig,
    rpcs::{RpcClient, client::RpcParams, rpc_params},
    utils::H256,
};
use tokio::sync::watch;

use super::endpoint::{EndpointClient, Header, hash_of};

/// The pause after a stream of heads has ended.
const RESUBSCRIBE_AFTER: Duration = Duration::from_secs(1);

/// The newest head a stream has shown.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenHead {
    /// The connection that it is of: a stream that is just ending has no say any more.
    pub connection: u64,
    /// Raised with each connection and each head.
    pub turn: u64,
    pub number: u64,
    pub hash: Option<H256>,
    /// The time at which it was shown, or the connection opened.
    pub at: Option<Instant>,
    pub ended: bool,
}

/// The number of the best head; nothing where the node does not answer.
pub(super) async fn best_number(rpc: &RpcClient) -> Option<u64> {
    let best = rpc.request::<Option<Header>>("chain_getHeader", RpcParams::new());
    Some(best.await.ok().flatten()?.number)
}

/// Follows the finalized heads of one connection.
pub(super) struct Follower {
    pub id: u64,
    pub endpoint: EndpointClient,
    pub client: OnlineClient<SubstrateConfig>,
    pub seen: watch::Sender<SeenHead>,
    pub lag: Arc<AtomicU64>,
    /// The lag is being asked for.
    pub asks_lag: Arc<AtomicBool>,
}

impl Follower {
    /// Keeps the newest finalized head in `seen` until the stream ends or breaks.
    pub async fn run(self) {
        if self.follow_headers().await.is_none() {
            self.follow_blocks().await;
        }
        // A node that ends every subscription at once is not asked again without a pause.
        tokio::time::sleep(RESUBSCRIBE_AFTER).await;
        self.seen.send_if_modified(|s| {
            let own = s.connection == self.id;
            if own {
                s.turn += 1;
                s.ended = true;
            }
            own
        });
    }

    /// Follows the headers that the node tells, which cost no further request; `None` where it tells none.
    async fn follow_headers(&self) -> Option<()> {
        let rpc = self.endpoint.rpc();
        let (hash, header) = self.endpoint.finalized().await.ok()?;
        // A chain with another hash function is asked for its hashes.
        let computes = hash == hash_of(&header);
        let mut heads = rpc
            .subscribe::<Header>(
                "chain_subscribeFinalizedHeads",
                RpcParams::new(),
                "chain_unsubscribeFinalizedHeads",
            )
            .await
            .ok()?;
        while let Some(Ok(header)) = heads.next().await {
            let number = header.number;
            let hash = if computes {
                hash_of(&header)
            } else {
                let asked = rpc.request("chain_getBlockHash", rpc_params![number]);
                match asked.await {
                    Ok(Some(hash)) => hash,
                    _ => break,
                }
            };
            if !self.note(number, hash).await {
                break;
            }
        }
        Some(())
    }

    /// Follows the blocks of a node that has the newer methods alone.
    async fn follow_blocks(&self) {
        let Ok(mut blocks) = self.client.stream_blocks().await else {
            return;
        };
        while let Some(Ok(block)) = blocks.next().await {
            if !self.note(block.number(), block.hash()).await {
                return;
            }
        }
    }

    /// Asks how far finality is behind, beside the heads, since it may have to wait for its turn. One question at a time: it
    /// is answered for the newest head.
    fn ask_lag(&self) {
        if self.asks_lag.swap(true, Ordering::Relaxed) {
            return;
        }
        let (rpc, lag, id) = (self.endpoint.rpc(), self.lag.clone(), self.id);
        let (seen, asks) = (self.seen.subscribe(), self.asks_lag.clone());
        tokio::spawn(async move {
            if let Some(best) = best_number(&rpc).await {
                let newest = seen.borrow().clone();
                if newest.connection == id {
                    lag.store(best.saturating_sub(newest.number), Ordering::Relaxed);
                }
            }
            asks.store(false, Ordering::Relaxed);
        });
    }

    /// Takes note of a head; `false` if another connection has taken over.
    async fn note(&self, number: u64, hash: H256) -> bool {
        let own = self.seen.send_if_modified(|s| {
            let own = s.connection == self.id;
            if own {
                *s = SeenHead {
                    connection: self.id,
                    turn: s.turn + 1,
                    number,
                    hash: Some(hash),
                    at: Some(Instant::now()),
                    ended: false,
                };
            }
            own
        });
        if own {
            self.ask_lag();
        }
        own
    }
}
