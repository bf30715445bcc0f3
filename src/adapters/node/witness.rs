//! An endpoint as it is compared with the one that is read: by its finalized head, over plain requests.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use serde_json::Value;
use subxt::rpcs::{RpcClient, client::RpcParams, rpc_params};
use tokio::time::timeout;

use super::connection::root_cause;
use crate::domain::chain::observation::EndpointSight;

/// A witness that doesn't answer in this time holds nobody up longer.
const ANSWER: Duration = Duration::from_secs(3);
/// And is asked again after this.
const PAUSE: Duration = Duration::from_secs(30);
/// One that refuses at once costs nobody time.
const BREATH: Duration = Duration::from_secs(3);

/// One endpoint of the list.
pub(super) struct Witness {
    pub url: String,
    rpc: tokio::sync::Mutex<Option<RpcClient>>,
    standing: Mutex<WitnessState>,
}

/// How an endpoint stands now.
#[derive(Clone, Debug)]
struct WitnessState {
    answers: bool,
    genesis: Option<String>,
    head: u64,
    moved: Instant,
    /// When its head was seen last.
    asked: Instant,
    trouble: Option<String>,
    /// Not asked before this.
    not_before: Option<Instant>,
}

/// What a witness answered.
#[derive(Clone, Debug)]
pub(super) struct WitnessAnswer {
    pub genesis: String,
    /// Its finalized head.
    pub number: u64,
    pub hash: String,
}

impl Witness {
    pub fn new(url: String) -> Self {
        let standing = WitnessState {
            answers: false,
            genesis: None,
            head: 0,
            moved: Instant::now(),
            asked: Instant::now(),
            trouble: None,
            not_before: None,
        };
        Self {
            url,
            rpc: tokio::sync::Mutex::new(None),
            standing: Mutex::new(standing),
        }
    }

    fn standing(&self) -> MutexGuard<'_, WitnessState> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scheme and host: what follows may hold a provider's key.
    pub fn name(&self) -> &str {
        host(&self.url)
    }

    /// Takes note of a finalized head.
    pub fn saw(&self, genesis: &str, head: u64) {
        let mut standing = self.standing();
        let now = Instant::now();
        if head != standing.head {
            standing.moved = now;
        }
        standing.asked = now;
        (standing.answers, standing.head, standing.genesis) =
            (true, head, Some(genesis.to_owned()));
    }

    /// It does not answer.
    pub fn silent(&self) {
        self.rest(PAUSE);
    }

    fn rest(&self, pause: Duration) {
        let mut standing = self.standing();
        standing.answers = false;
        standing.not_before = Some(Instant::now() + pause);
    }

    /// It is left, and why; `None` when it is well again.
    pub fn set_trouble(&self, trouble: Option<String>) {
        self.standing().trouble = trouble;
    }

    pub fn is_left(&self) -> bool {
        self.standing().trouble.is_some()
    }

    pub fn sight(&self) -> EndpointSight {
        let standing = self.standing();
        EndpointSight {
            name: self.name().to_owned(),
            answers: standing.answers,
            head: standing.head,
            unmoved: SignedDuration::try_from(
                standing.asked.saturating_duration_since(standing.moved),
            )
            .unwrap_or_default(),
            trouble: standing.trouble.clone(),
        }
    }

    /// Its finalized head now; nothing if it does not answer.
    pub async fn testify(&self) -> Option<WitnessAnswer> {
        if self
            .standing()
            .not_before
            .is_some_and(|at| Instant::now() < at)
        {
            return None;
        }
        let asked = timeout(ANSWER, self.ask()).await;
        let pause = if asked.is_err() { PAUSE } else { BREATH };
        match asked.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(testimony) => {
                self.standing().not_before = None;
                self.saw(&testimony.genesis, testimony.number);
                Some(testimony)
            }
            Err(reason) => {
                tracing::debug!(node = self.name(), "not compared: {reason}");
                *self.rpc.lock().await = None;
                self.rest(pause);
                None
            }
        }
    }

    /// Its hash for a number; nothing if it has none or does not answer.
    pub async fn hash_at(&self, number: u64) -> Option<String> {
        let rpc = self.rpc.lock().await.clone()?;
        timeout(
            ANSWER,
            rpc.request::<Option<String>>("chain_getBlockHash", rpc_params![number]),
        )
        .await
        .ok()?
        .ok()?
    }

    async fn ask(&self) -> Result<WitnessAnswer, String> {
        let rpc = {
            let mut held = self.rpc.lock().await;
            match held.as_ref() {
                Some(rpc) => rpc.clone(),
                None => {
                    let rpc = RpcClient::from_insecure_url(&self.url)
                        .await
                        .map_err(|e| root_cause(&e))?;
                    held.insert(rpc).clone()
                }
            }
        };
        let known = {
            let standing = self.standing();
            standing.genesis.clone().filter(|_| standing.answers)
        };
        let genesis = match known {
            Some(genesis) => genesis,
            None => rpc
                .request::<String>("chain_getBlockHash", rpc_params![0])
                .await
                .map_err(|e| root_cause(&e))?,
        };
        let hash: String = rpc
            .request("chain_getFinalizedHead", RpcParams::new())
            .await
            .map_err(|e| root_cause(&e))?;
        let header: Value = rpc
            .request("chain_getHeader", rpc_params![&hash])
            .await
            .map_err(|e| root_cause(&e))?;
        let number = header
            .get("number")
            .and_then(Value::as_str)
            .and_then(|n| u64::from_str_radix(n.trim_start_matches("0x"), 16).ok());
        Ok(WitnessAnswer {
            genesis,
            number: number.ok_or("its header has no number")?,
            hash,
        })
    }
}

/// Scheme and host: what follows may hold a provider's key.
pub(super) fn host(endpoint: &str) -> &str {
    let start = endpoint.find("://").map_or(0, |i| i + 3);
    let end = endpoint
        .get(start..)
        .and_then(|rest| rest.find(['/', '?']))
        .map_or(endpoint.len(), |i| start + i);
    let shown = endpoint.get(..end).unwrap_or_default();
    // A name and password before the host are left out too.
    if shown.contains('@') { "a node" } else { shown }
}
