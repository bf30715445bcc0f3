//! A witness: an endpoint whose finalized head is compared with that of the node that is read, over plain requests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use parking_lot::{Mutex, MutexGuard};
use subxt::rpcs::rpc_params;
use tokio::time::timeout;

use super::{allowance::Allowance, endpoint::EndpointClient, error::root_cause};
use crate::domain::chain::observation::EndpointSight;

/// The longest wait for an answer of a witness.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before a witness that did not answer is asked again.
const PAUSE_AFTER_SILENCE: Duration = Duration::from_secs(30);
/// The pause before a witness that refused is asked again. It is shorter, since a refusal costs no time.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(3);

/// One endpoint of the list.
pub(super) struct Witness {
    pub url: String,
    /// What the endpoint allows, whoever asks it.
    pub allowance: Arc<Allowance>,
    client: tokio::sync::Mutex<Option<EndpointClient>>,
    state: Mutex<WitnessState>,
}

/// The state of an endpoint as it was seen last.
#[derive(Clone, Debug)]
struct WitnessState {
    answers: bool,
    genesis: Option<String>,
    head: u64,
    moved: Instant,
    /// The time at which its head was seen last.
    asked: Instant,
    trouble: Option<String>,
    /// Not asked before this.
    not_before: Option<Instant>,
}

/// The answer of a witness.
#[derive(Clone, Debug)]
pub(super) struct WitnessAnswer {
    pub genesis: String,
    /// The number of its finalized head.
    pub number: u64,
    pub hash: String,
}

impl Witness {
    pub fn new(url: String) -> Self {
        let state = WitnessState {
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
            allowance: Arc::new(Allowance::new()),
            client: tokio::sync::Mutex::new(None),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, WitnessState> {
        self.state.lock()
    }

    /// Scheme and host: what follows may hold a provider's key.
    pub fn name(&self) -> &str {
        host(&self.url)
    }

    /// Notes its finalized head.
    pub fn note_head(&self, genesis: &str, head: u64) {
        let mut state = self.state();
        let now = Instant::now();
        if head != state.head {
            state.moved = now;
        }
        state.asked = now;
        (state.answers, state.head, state.genesis) = (true, head, Some(genesis.to_owned()));
    }

    /// Notes that it does not answer.
    pub fn note_silence(&self) {
        self.pause(PAUSE_AFTER_SILENCE);
    }

    fn pause(&self, pause: Duration) {
        let mut state = self.state();
        state.answers = false;
        state.not_before = Some(Instant::now() + pause);
    }

    /// Sets why it is left; `None` when it is well again.
    pub fn set_trouble(&self, trouble: Option<String>) {
        self.state().trouble = trouble;
    }

    pub fn is_left(&self) -> bool {
        self.state().trouble.is_some()
    }

    pub fn sight(&self) -> EndpointSight {
        let state = self.state();
        EndpointSight {
            name: self.name().to_owned(),
            answers: state.answers,
            head: state.head,
            unmoved: SignedDuration::try_from(state.asked.saturating_duration_since(state.moved))
                .unwrap_or_default(),
            trouble: state.trouble.clone(),
            interval: self
                .allowance
                .interval()
                .and_then(|interval| SignedDuration::try_from(interval).ok()),
        }
    }

    /// Asks for its finalized head; nothing if it does not answer.
    pub async fn finalized_head(&self) -> Option<WitnessAnswer> {
        if self
            .state()
            .not_before
            .is_some_and(|at| Instant::now() < at)
        {
            return None;
        }
        // What waits for its turn is not silent: a head takes three requests at most.
        let turns = self.allowance.interval().unwrap_or_default() * 3;
        let asked = timeout(ANSWER_TIMEOUT + turns, self.ask()).await;
        let pause = if asked.is_err() {
            PAUSE_AFTER_SILENCE
        } else {
            PAUSE_AFTER_REFUSAL
        };
        match asked.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(answer) => {
                self.state().not_before = None;
                self.note_head(&answer.genesis, answer.number);
                Some(answer)
            }
            Err(reason) => {
                tracing::debug!(node = self.name(), "not compared: {reason}");
                *self.client.lock().await = None;
                self.pause(pause);
                None
            }
        }
    }

    /// Asks for its hash at a number; nothing if it has none or does not answer.
    pub async fn hash_at(&self, number: u64) -> Option<String> {
        let rpc = self.client.lock().await.as_ref()?.rpc();
        timeout(
            ANSWER_TIMEOUT,
            rpc.request::<Option<String>>("chain_getBlockHash", rpc_params![number]),
        )
        .await
        .ok()?
        .ok()?
    }

    async fn ask(&self) -> Result<WitnessAnswer, String> {
        let endpoint = {
            let mut held = self.client.lock().await;
            match held.as_ref() {
                Some(client) => client.clone(),
                None => {
                    let client = EndpointClient::open(&self.url, self.allowance.clone())
                        .await
                        .map_err(|e| e.to_string())?;
                    held.insert(client).clone()
                }
            }
        };
        let known = {
            let state = self.state();
            state.genesis.clone().filter(|_| state.answers)
        };
        let genesis = match known {
            Some(genesis) => genesis,
            None => endpoint
                .rpc()
                .request::<String>("chain_getBlockHash", rpc_params![0])
                .await
                .map_err(|e| root_cause(&e))?,
        };
        let (hash, header) = endpoint.finalized().await.map_err(|e| root_cause(&e))?;
        Ok(WitnessAnswer {
            genesis,
            number: header.number,
            hash: format!("{hash:?}"),
        })
    }
}

/// Scheme and host: what follows may hold a provider's key.
pub fn host(endpoint: &str) -> &str {
    let start = endpoint.find("://").map_or(0, |i| i + 3);
    let end = endpoint
        .get(start..)
        .and_then(|rest| rest.find(['/', '?']))
        .map_or(endpoint.len(), |i| start + i);
    let shown = endpoint.get(..end).unwrap_or_default();
    // A name and password before the host are left out too.
    if shown.contains('@') { "a node" } else { shown }
}
