//! The embedded chain: a recording served over JSON-RPC to the same client that reads real nodes.
//!
//! Blocks are finalized one by one, when the rehearsal says so, and bear the rehearsal's time. When
//! the recording ends, empty blocks go on behind it; they are marked synthetic.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use subxt::{
    config::{
        Hasher,
        substrate::{BlakeTwo256, SubstrateHeader},
    },
    ext::codec::Encode,
    utils::H256,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_tungstenite::tungstenite::Message;

use super::recording::{RecordedBlock, Recording};
use crate::domain::hex;

struct Served {
    block: RecordedBlock,
    synthetic: bool,
}

struct ServedState {
    recording: Recording,
    /// Finalized so far, oldest first.
    served: Vec<Served>,
}

/// A node on a loopback port of its own.
pub struct EmbeddedChain {
    state: Arc<Mutex<ServedState>>,
    head: watch::Sender<usize>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for EmbeddedChain {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Mutex<ServedState>) -> parking_lot::MutexGuard<'_, ServedState> {
    state.lock()
}

impl EmbeddedChain {
    /// Serves the first block of the recording (behind a genesis), at `now`.
    pub async fn start(recording: Recording, now: Timestamp) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut state = ServedState {
            recording,
            served: Vec::new(),
        };
        state.push(now);
        if state.served.last().is_some_and(|s| s.block.number == 0) {
            // A recorded genesis has no header that hashes to it: followers begin behind it.
            state.push(now);
        }
        let state = Arc::new(Mutex::new(state));
        let head = watch::Sender::new(0);
        let server = tokio::spawn(serve(listener, state.clone(), head.clone()));
        Ok(Self {
            state,
            head,
            address,
            server,
        })
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Finalizes the next block, at `now`.
    pub fn next_block(&self, now: Timestamp) {
        let mut state = lock(&self.state);
        state.push(now);
        self.head.send_replace(state.served.len());
    }

    /// The newest finalized block's number.
    pub fn head(&self) -> u64 {
        lock(&self.state)
            .served
            .last()
            .map_or(0, |s| s.block.number)
    }

    /// Synthetic blocks so far.
    pub fn synthetic(&self) -> usize {
        lock(&self.state)
            .served
            .iter()
            .filter(|s| s.synthetic)
            .count()
    }

    /// Recorded blocks that are still to come.
    pub fn left(&self) -> usize {
        let state = lock(&self.state);
        state
            .recording
            .blocks
            .len()
            .saturating_sub(state.served.len())
    }
}

impl ServedState {
    fn push(&mut self, now: Timestamp) {
        let (mut block, synthetic) = match self.recording.blocks.get(self.served.len()) {
            Some(block) => (block.clone(), false),
            None => match self.served.last() {
                Some(last) => (self.empty_after(&last.block), true),
                None => return,
            },
        };
        if let Some(key) = self.recording.keys.get("timestamp") {
            let ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
            block
                .storage
                .insert(key.clone(), hex::encode(&ms.to_le_bytes()));
        }
        self.served.push(Served { block, synthetic });
    }

    /// A block without events behind `last`, with the same state.
    fn empty_after(&self, last: &RecordedBlock) -> RecordedBlock {
        let parent = last.hash.parse::<H256>().unwrap_or_default();
        let header = SubstrateHeader {
            parent_hash: parent,
            number: last.number + 1,
            state_root: H256::zero(),
            extrinsics_root: H256::zero(),
            digest: Default::default(),
        };
        let mut block = last.clone();
        block.number += 1;
        block.hash = format!("{:?}", BlakeTwo256.hash(&header.encode()));
        block.header = serde_json::to_value(&header).unwrap_or_default();
        if let Some(key) = self.recording.keys.get("events") {
            block.storage.insert(key.clone(), "0x00".to_owned());
        }
        block
    }

    fn at(&self, hash: Option<&str>) -> Result<&RecordedBlock, String> {
        let found = match hash {
            None => self.served.last(),
            Some(hash) => self.served.iter().rev().find(|s| s.block.hash == hash),
        };
        found
            .map(|s| &s.block)
            .ok_or_else(|| "unknown block".to_owned())
    }

    fn call(&self, function: &str, argument: &str, hash: Option<&str>) -> Result<Value, String> {
        let block = self.at(hash)?;
        let metadata = self
            .recording
            .metadata
            .get(&block.runtime_version.spec_version.to_string());
        let answer = match function {
            "Core_version" => Some(&block.core_version),
            "Metadata_metadata_versions" => metadata.and_then(|m| m.versions.as_ref()),
            "Metadata_metadata_at_version" => metadata.and_then(|m| m.at.get(argument)),
            "Metadata_metadata" => metadata.and_then(|m| m.plain.as_ref()),
            _ => None,
        };
        answer
            .map(|a| json!(a))
            .ok_or_else(|| format!("Function to start was not found: {function}"))
    }

    fn answer(&self, method: &str, params: &[Value]) -> Result<Value, String> {
        let text = |i: usize| params.get(i).and_then(Value::as_str);
        Ok(match method {
            "rpc_methods" => json!({ "methods": RPC_METHODS }),
            "system_chain" => json!(self.recording.chain),
            "chain_getFinalizedHead" => json!(self.at(None)?.hash),
            "chain_getBlockHash" => match params.first().and_then(number) {
                None => json!(self.at(None)?.hash),
                Some(n) => json!(
                    self.served
                        .iter()
                        .find(|s| s.block.number == n)
                        .map(|s| &s.block.hash)
                ),
            },
            "chain_getHeader" => self.at(text(0))?.header.clone(),
            "state_getStorage" => json!(self.at(text(1))?.storage.get(text(0).unwrap_or_default())),
            "state_queryStorageAt" => {
                let block = self.at(text(1))?;
                let keys = params.first().and_then(Value::as_array);
                let value = |key: &Value| block.storage.get(key.as_str().unwrap_or_default());
                let changes: Vec<Value> = keys
                    .into_iter()
                    .flatten()
                    .map(|key| json!([key, value(key)]))
                    .collect();
                json!([{ "block": block.hash, "changes": changes }])
            }
            "state_call" => self.call(
                text(0).unwrap_or_default(),
                text(1).unwrap_or_default(),
                text(2),
            )?,
            _ => return Err(METHOD_NOT_FOUND.to_owned()),
        })
    }
}

const METHOD_NOT_FOUND: &str = "Method not found";

const RPC_METHODS: [&str; 10] = [
    "rpc_methods",
    "system_chain",
    "chain_getBlockHash",
    "chain_getFinalizedHead",
    "chain_getHeader",
    "chain_subscribeFinalizedHeads",
    "chain_unsubscribeFinalizedHeads",
    "state_getStorage",
    "state_queryStorageAt",
    "state_call",
];

fn number(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| u64::from_str_radix(value.as_str()?.trim_start_matches("0x"), 16).ok())
}

async fn serve(listener: TcpListener, state: Arc<Mutex<ServedState>>, head: watch::Sender<usize>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(client(stream, state.clone(), head.subscribe()));
    }
}

/// One connection: answers requests, and tells subscribers of new heads.
async fn client(
    stream: TcpStream,
    state: Arc<Mutex<ServedState>>,
    mut head: watch::Receiver<usize>,
) {
    // Small answers go at once: a block would take 40 ms otherwise.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let (mut sink, mut source) = socket.split();
    let mut subscriptions: BTreeMap<String, usize> = BTreeMap::new();
    let mut opened = 0_u32;
    loop {
        let mut replies = Vec::new();
        tokio::select! {
            message = source.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let Ok(request) = serde_json::from_str::<Value>(&text) else { return };
                    replies.push(respond(&state, &request, &mut subscriptions, &mut opened));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            changed = head.changed() => if changed.is_err() { return },
        }
        {
            let state = lock(&state);
            for (id, sent) in &mut subscriptions {
                for served in state.served.iter().skip(*sent) {
                    let params = json!({ "subscription": id, "result": served.block.header });
                    replies.push(json!({ "jsonrpc": "2.0", "method": "chain_finalizedHead", "params": params }));
                }
                *sent = state.served.len();
            }
        }
        for reply in replies {
            if sink.send(Message::text(reply.to_string())).await.is_err() {
                return;
            }
        }
    }
}

fn respond(
    state: &Mutex<ServedState>,
    request: &Value,
    subscriptions: &mut BTreeMap<String, usize>,
    opened: &mut u32,
) -> Value {
    let id = request.get("id").cloned().unwrap_or_default();
    let method = request
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let params = request
        .get("params")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let state = lock(state);
    let result = match method {
        "chain_subscribeFinalizedHeads" => {
            *opened += 1;
            let name = format!("heads-{opened}");
            subscriptions.insert(name.clone(), state.served.len().saturating_sub(1));
            Ok(json!(name))
        }
        "chain_unsubscribeFinalizedHeads" => Ok(json!(
            params
                .first()
                .and_then(Value::as_str)
                .and_then(|id| subscriptions.remove(id))
                .is_some()
        )),
        _ => state.answer(method, &params),
    };
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(message) => {
            let code = if message == METHOD_NOT_FOUND {
                -32601
            } else {
                4003
            };
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
}
