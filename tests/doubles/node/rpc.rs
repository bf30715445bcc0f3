//! JSON-RPC: a connection's requests, answers and subscriptions.

use std::{collections::BTreeMap, sync::Arc};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use subxt::{
    config::{Hasher, substrate::BlakeTwo256},
    ext::codec::Decode,
    utils::H256,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use upgrade_herald::domain::hex;

use super::{
    chain::{Branch, key, runtime_version},
    endpoint::{Control, MethodFault, Shared, Unreadable},
};

const METHODS: [&str; 20] = [
    "rpc_methods",
    "system_chain",
    "system_health",
    "chain_getBlock",
    "chain_getBlockHash",
    "chain_getFinalizedHead",
    "chain_getHeader",
    "chain_subscribeFinalizedHeads",
    "chain_unsubscribeFinalizedHeads",
    "chain_subscribeNewHeads",
    "chain_unsubscribeNewHeads",
    "chainSpec_v1_genesisHash",
    "state_call",
    "state_getMetadata",
    "state_getRuntimeVersion",
    "state_getStorage",
    "state_getStorageHash",
    "state_getStorageSize",
    "state_queryStorageAt",
    "system_syncState",
];

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (refusing, too_many) = {
            let mut control = shared.lock();
            let too_many = control.too_many > 0;
            control.too_many = control.too_many.saturating_sub(1);
            (control.refusing, too_many)
        };
        if too_many {
            tokio::spawn(answer_too_many(stream));
        } else if !refusing {
            tokio::spawn(client(stream, shared.clone()));
        }
    }
}

/// Refuses a connection as a provider does that has too many.
async fn answer_too_many(mut stream: TcpStream) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let answer = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// What is told to a subscriber, and the block it was told of last.
struct Subscription {
    finalized: bool,
    told: Option<H256>,
}

struct Client {
    shared: Arc<Shared>,
    subscriptions: BTreeMap<String, Subscription>,
    opened: u32,
    /// The control's counters, as this connection last saw them.
    broken: u64,
    ended: u64,
    forgotten: u64,
}

async fn client(stream: TcpStream, shared: Arc<Shared>) {
    // Small answers go at once: a block would take 40 ms otherwise.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut changed = shared.changed.subscribe();
    let mut client = {
        let mut control = shared.lock();
        control.counts.connections += 1;
        let (broken, ended, forgotten) = (control.broken, control.ended, control.forgotten);
        Client {
            shared: shared.clone(),
            subscriptions: BTreeMap::new(),
            opened: 0,
            broken,
            ended,
            forgotten,
        }
    };
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let mut waiting: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    shared.lock().counts.received += text.len() as u64;
                    waiting.push(text.to_string());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            turned = changed.changed() => if turned.is_err() { return },
        }
        if !client.work(&mut socket, &mut waiting).await {
            return;
        }
    }
}

/// What goes over the wire next.
enum Reply {
    Whole(String),
    /// The connection breaks while this is under way.
    Broken,
}

impl Client {
    /// Answers what waits and tells subscribers what is new; `false` when the connection is over.
    async fn work(
        &mut self,
        socket: &mut WebSocketStream<TcpStream>,
        waiting: &mut Vec<String>,
    ) -> bool {
        let Some(replies) = self.replies(waiting) else {
            return false;
        };
        for reply in replies {
            match reply {
                Reply::Whole(text) => {
                    self.shared.lock().counts.sent += text.len() as u64;
                    if socket.send(Message::text(text)).await.is_err() {
                        return false;
                    }
                }
                Reply::Broken => {
                    // A frame that promises a thousand bytes, and two of them.
                    let _ = socket
                        .get_mut()
                        .write_all(&[0x81, 0x7e, 0x04, 0x00, b'{', b'"'])
                        .await;
                    return false;
                }
            }
        }
        true
    }

    fn replies(&mut self, waiting: &mut Vec<String>) -> Option<Vec<Reply>> {
        let shared = self.shared.clone();
        let mut control = shared.lock();
        if control.broken != self.broken {
            return None;
        }
        let mut replies = Vec::new();
        if std::mem::replace(&mut self.ended, control.ended) != control.ended {
            for (id, subscription) in std::mem::take(&mut self.subscriptions) {
                let params =
                    json!({ "subscription": id, "error": "the node ended this subscription" });
                replies.push(notification(subscription.finalized, params));
            }
        }
        if std::mem::replace(&mut self.forgotten, control.forgotten) != control.forgotten {
            self.subscriptions.clear();
        }
        if control.silent {
            return Some(replies);
        }
        for text in waiting.drain(..) {
            let request: Value = serde_json::from_str(&text).ok()?;
            let Some(response) = self.respond(&mut control, &request) else {
                continue;
            };
            replies.push(Reply::Whole(response.to_string()));
            control.break_at = control.break_at.map(|n| n - 1);
            if control.break_at == Some(0) {
                control.break_at = None;
                replies.pop();
                replies.push(Reply::Broken);
                return Some(replies);
            }
        }
        for (id, subscription) in &mut self.subscriptions {
            let (branch, number) = if subscription.finalized {
                (control.branch, control.finalized())
            } else {
                control.best()
            };
            let hash = control.chain.tell(branch, number);
            if subscription.told.replace(hash) != Some(hash) {
                let header = header(&control, branch, number);
                replies.push(notification(
                    subscription.finalized,
                    json!({ "subscription": id, "result": header }),
                ));
            }
        }
        Some(replies)
    }

    /// `None`: this request is never answered.
    fn respond(&mut self, control: &mut Control, request: &Value) -> Option<Value> {
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
        let counted = match params.first().and_then(Value::as_str) {
            Some(function) if method == "state_call" => format!("{method} {function}"),
            _ => method.to_owned(),
        };
        let fault = [method, counted.as_str()].map(|name| control.failing.get(name).copied());
        let fault = fault.into_iter().flatten().next();
        *control.counts.calls.entry(counted).or_default() += 1;
        let over_limit = control.limit.as_mut().is_some_and(|limit| !limit.take());
        if over_limit || fault == Some(MethodFault::OverLimit) {
            control.over_limit += 1;
            let error = json!({ "code": -32005, "message": "Too many requests" });
            return Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
        let result = match method {
            _ if fault == Some(MethodFault::Silent) => return None,
            _ if let Some(fault) = fault => failing(method, fault),
            "chain_subscribeFinalizedHeads" | "chain_subscribeNewHeads" => {
                self.opened += 1;
                let name = format!("heads-{}", self.opened);
                let finalized = method == "chain_subscribeFinalizedHeads";
                self.subscriptions.insert(
                    name.clone(),
                    Subscription {
                        finalized,
                        told: None,
                    },
                );
                Ok(json!(name))
            }
            "chain_unsubscribeFinalizedHeads" | "chain_unsubscribeNewHeads" => Ok(json!(
                params
                    .first()
                    .and_then(Value::as_str)
                    .and_then(|id| self.subscriptions.remove(id))
                    .is_some()
            )),
            _ => answer(control, method, &params),
        };
        Some(match result {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err((code, message)) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
            }
        })
    }
}

/// The answer of a method that fails.
fn failing(method: &str, fault: MethodFault) -> Result<Value, Refusal> {
    Err(match fault {
        MethodFault::Absent => (-32601, "Method not found".to_owned()),
        MethodFault::TooBig => (-32008, "Response is too big".to_owned()),
        MethodFault::WrongType => {
            let is_text = method.ends_with("Hash") || method.ends_with("Head");
            return Ok(if is_text { json!({}) } else { json!(5) });
        }
        MethodFault::Refused | MethodFault::Silent | MethodFault::OverLimit => {
            (-32000, "Client error: internal".to_owned())
        }
    })
}

fn notification(finalized: bool, params: Value) -> Reply {
    let method = if finalized {
        "chain_finalizedHead"
    } else {
        "chain_newHead"
    };
    Reply::Whole(json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string())
}

type Refusal = (i32, String);

/// A header; whoever has it knows its parent's hash too.
fn header(control: &Control, branch: Branch, number: u64) -> Value {
    control.chain.tell(branch, number);
    if let Some(parent) = number.checked_sub(1) {
        control.chain.tell(branch, parent);
    }
    serde_json::to_value(control.chain.header(branch, number)).unwrap_or_default()
}

fn hash_of(control: &Control, number: &Value) -> Value {
    let number = number
        .as_u64()
        .or_else(|| u64::from_str_radix(number.as_str()?.trim_start_matches("0x"), 16).ok());
    let found = number.and_then(|n| Some(control.chain.tell(control.branch_at(n)?, n)));
    json!(found.map(|hash| format!("{hash:?}")))
}

/// The block with this hash, or the best one.
fn block(control: &Control, hash: Option<&Value>) -> Result<(Branch, u64), Refusal> {
    match hash.filter(|h| !h.is_null()) {
        None => Ok(control.best()),
        Some(hash) => {
            let found = hash
                .as_str()
                .and_then(|h| h.parse::<H256>().ok())
                .and_then(|h| control.find(h));
            found.ok_or_else(|| {
                (
                    4003,
                    format!(
                        "Client error: UnknownBlock: Header was not found in the database: {hash}"
                    ),
                )
            })
        }
    }
}

/// The same, if its state was kept.
fn state(control: &Control, hash: Option<&Value>) -> Result<(Branch, u64), Refusal> {
    let (branch, number) = block(control, hash)?;
    if number < control.oldest {
        let hash = control.chain.hash(branch, number);
        return Err((
            4003,
            format!("Client error: UnknownBlock: State already discarded for {hash:?}"),
        ));
    }
    Ok((branch, number))
}

/// A value of the state behind a block, which may be the one that can't be read.
fn value(
    control: &Control,
    branch: Branch,
    number: u64,
    name: &str,
) -> Result<Option<Vec<u8>>, Refusal> {
    let how = control.unreadable.filter(|(block, _)| *block == number);
    let is_events = name == key::EVENTS;
    match how.map(|(_, how)| how) {
        // One event of pallet 200, which no runtime here has.
        Some(Unreadable::Events) if is_events => Ok(Some(vec![4, 1, 200, 99, 1, 2, 3])),
        Some(Unreadable::BigEvents) if is_events => Err((-32008, "Response is too big".to_owned())),
        Some(Unreadable::HugeEvents) if is_events => Ok(Some(vec![0; 9_000_000])),
        Some(Unreadable::State) => Err((-32000, "Client error: internal".to_owned())),
        _ => Ok(control.chain.storage(branch, number, name)),
    }
}

fn answer(control: &Control, method: &str, params: &[Value]) -> Result<Value, Refusal> {
    let chain = &control.chain;
    let text = |i: usize| params.get(i).and_then(Value::as_str).unwrap_or_default();
    let stored = |hash: Option<&Value>| {
        let (branch, number) = state(control, hash)?;
        value(control, branch, number, text(0))
    };
    Ok(match method {
        "rpc_methods" => json!({ "methods": METHODS }),
        "system_chain" => json!("Synthetic"),
        "system_health" => json!({ "peers": 8, "isSyncing": false, "shouldHavePeers": true }),
        "system_syncState" => {
            let best = control.best().1;
            json!({ "startingBlock": 0, "currentBlock": best, "highestBlock": best })
        }
        "chain_getFinalizedHead" => json!(format!("{:?}", chain.tell(control.branch, control.finalized()))),
        "chain_getBlockHash" => match params.first() {
            None | Some(Value::Null) => {
                let (branch, number) = control.best();
                json!(format!("{:?}", chain.tell(branch, number)))
            }
            Some(Value::Array(numbers)) => numbers.iter().map(|n| hash_of(control, n)).collect(),
            Some(number) => hash_of(control, number),
        },
        "chain_getHeader" => block(control, params.first()).map_or(Value::Null, |(branch, number)| header(control, branch, number)),
        "chain_getBlock" => block(control, params.first()).map_or(
            Value::Null,
            |(branch, number)| json!({ "block": { "header": header(control, branch, number), "extrinsics": [] }, "justifications": null }),
        ),
        "state_getStorage" => json!(stored(params.get(1))?.map(|v| hex::encode(&v))),
        "state_getStorageHash" => json!(stored(params.get(1))?.map(|v| format!("{:?}", BlakeTwo256.hash(&v)))),
        "state_getStorageSize" => json!(stored(params.get(1))?.map(|v| v.len())),
        "state_queryStorageAt" => {
            let (branch, number) = state(control, params.get(1))?;
            let keys = params.first().and_then(Value::as_array).cloned().unwrap_or_default();
            let mut changes = Vec::new();
            for key in keys {
                let value = value(control, branch, number, key.as_str().unwrap_or_default())?;
                changes.push(json!([key, value.map(|v| hex::encode(&v))]));
            }
            json!([{ "block": format!("{:?}", chain.hash(branch, number)), "changes": changes }])
        }
        "chainSpec_v1_genesisHash" => json!(format!("{:?}", chain.tell(control.branch, 0))),
        "state_getMetadata" => {
            let (branch, number) = state(control, params.first())?;
            // A real node answers version 14 here; the recording has this one alone.
            let metadata =
                chain.call(branch, number, "Metadata_metadata_at_version", "0x10000000");
            let bytes = metadata.as_deref().and_then(hex::decode).unwrap_or_default();
            let metadata = Option::<Vec<u8>>::decode(&mut &bytes[..]).ok().flatten();
            json!(hex::encode(&metadata.unwrap_or_default()))
        }
        "state_getRuntimeVersion" => {
            let (branch, number) = state(control, params.first())?;
            runtime_version(chain.state(branch, number).code)
        }
        "state_call" => {
            let (branch, number) = state(control, params.get(2))?;
            let answer = chain.call(branch, number, text(0), text(1));
            json!(answer.ok_or_else(|| (4003, format!("Client error: Execution failed: Function to start was not found: {}", text(0))))?)
        }
        _ => return Err((-32601, "Method not found".to_owned())),
    })
}
