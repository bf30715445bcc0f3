//! One endpoint's JSON-RPC. Every request to a node goes through here.
//!
//! Providers differ in what they serve: some forbid a method, refuse an answer as too big, or allow few requests a
//! second. A request over the limit is made again, more slowly. What one method does not answer is asked of another one
//! that knows it too, so that no single method is needed.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jsonrpsee::{
    client_transport::ws::WsHandshakeError,
    core::client::Error as TransportError,
    ws_client::{WsClient, WsClientBuilder},
};
use parking_lot::Mutex;
use serde_json::{Value, json, value::RawValue};
use subxt::{
    config::{
        Hasher,
        substrate::{BlakeTwo256, SubstrateHeader},
    },
    ext::codec::{Decode, Encode},
    rpcs::{
        Error, RpcClient, UserError,
        client::{RawRpcFuture, RawRpcSubscription, RpcClientT, RpcParams},
        rpc_params,
    },
    utils::H256,
};
use tokio::time::{sleep, timeout};

use super::{
    allowance::Allowance,
    error::{BlockFault, root_cause},
};
use crate::domain::hex;

/// The longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Of that, how long a node has to show that it answers anything.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest answer that is taken: nodes send up to 15 MB by default.
const MAX_ANSWER_BYTES: u32 = 16 * 1024 * 1024;
/// A request that is over the limit is made so often.
const MAX_REQUESTS: u32 = 6;
/// The pause between two questions for the finalized head of an endpoint that has no subscription to it.
const POLL_EVERY: Duration = Duration::from_secs(3);
/// So many polls in a row may fail before the stream ends.
const MAX_FAILED_POLLS: u32 = 3;
/// The most blocks by which a hash is searched behind the finalized head, where no method knows it by its number.
const MAX_WALK_BLOCKS: u64 = 256;

const SUBSCRIBE: &str = "chain_subscribeFinalizedHeads";
const UNSUBSCRIBE: &str = "chain_unsubscribeFinalizedHeads";
const FINALIZED_HEAD: &str = "chain_getFinalizedHead";
const HEADER: &str = "chain_getHeader";
const BLOCK_HASH: &str = "chain_getBlockHash";
const QUERY_STORAGE: &str = "state_queryStorageAt";
/// A node that has all of these is read by them. They work behind a load balancer, cost the fewest requests, and need no
/// subscription that a node may end or refuse; the newer methods are for nodes that lack one of these.
const OLDER_METHODS: [&str; 5] = [
    BLOCK_HASH,
    FINALIZED_HEAD,
    HEADER,
    "state_call",
    "state_getStorage",
];

pub(super) type Header = SubstrateHeader<H256>;

/// The reasons why an endpoint can't be connected.
#[derive(Debug)]
pub(super) enum OpenError {
    /// HTTP 429: too many connections for now.
    TooMany,
    Failed(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMany => f.write_str("it accepts no further connection for now (HTTP 429)"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// The client of one endpoint.
#[derive(Clone)]
pub(super) struct EndpointClient {
    client: Arc<WsClient>,
    allowance: Arc<Allowance>,
    /// Hashes of finalized blocks that were found by walking back.
    walked: Arc<Mutex<BTreeMap<u64, H256>>>,
}

impl EndpointClient {
    pub async fn open(url: &str, allowance: Arc<Allowance>) -> Result<Self, OpenError> {
        let builder = WsClientBuilder::new()
            .max_response_size(MAX_ANSWER_BYTES)
            .max_buffer_capacity_per_subscription(4096);
        let client = builder.build(url).await.map_err(|error| {
            let TransportError::Transport(cause) = &error else {
                return OpenError::Failed(root_cause(&error));
            };
            match cause.downcast_ref::<WsHandshakeError>() {
                Some(WsHandshakeError::Rejected { status_code: 429 }) => OpenError::TooMany,
                _ => OpenError::Failed(root_cause(&error)),
            }
        })?;
        Ok(Self {
            client: Arc::new(client),
            allowance,
            walked: Arc::default(),
        })
    }

    pub fn rpc(&self) -> RpcClient {
        RpcClient::new(self.clone())
    }

    /// Takes note that the subscription stands and tells nothing: the next connection asks for heads instead.
    pub fn refuse_subscription(&self) {
        self.allowance.refuse(SUBSCRIBE, false);
    }

    /// The values of several keys at a block, by one request. `None` where no value stands.
    pub async fn values(&self, keys: &[&str], at: H256) -> Result<Vec<Option<Vec<u8>>>, Error> {
        if self.allowance.refuses(QUERY_STORAGE) {
            return Err(UserError::method_not_found().into());
        }
        let params = rpc_params![keys, format!("{at:?}")].build();
        let error = match self.ask(QUERY_STORAGE, params).await {
            Ok(answer) => match changes(&answer, keys) {
                Some(values) => return Ok(values),
                None => wrong_type(QUERY_STORAGE),
            },
            Err(error) => error,
        };
        if matches!(Fault::of(&error), Fault::Method) {
            self.allowance.refuse(QUERY_STORAGE, is_absent(&error));
        }
        Err(error)
    }

    /// The newest finalized header, with its hash.
    pub async fn finalized(&self) -> Result<(H256, Header), Error> {
        let rpc = self.rpc();
        let hash: H256 = rpc.request(FINALIZED_HEAD, RpcParams::new()).await?;
        let header: Option<Header> = rpc.request(HEADER, rpc_params![hash]).await?;
        let header = header.ok_or_else(|| failed("the node has no header of its own head"))?;
        Ok((hash, header))
    }

    /// Makes one request, within the limit of the endpoint, and looks at the form of its answer.
    async fn ask(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>, Error> {
        let asked = || self.client.request_raw(method, params.clone());
        let answer = self.within_limit(method, asked).await?;
        if has_form(method, &answer) {
            Ok(answer)
        } else {
            Err(wrong_type(method))
        }
    }

    /// Makes a request when it is due, and again if it was one too many.
    async fn within_limit<T, F: Future<Output = Result<T, Error>>>(
        &self,
        method: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut requests = 0;
        loop {
            self.allowance.turn().await;
            requests += 1;
            match self.wait_for(method, ask()).await {
                Err(Error::User(error)) if is_over_limit(&error) => {
                    self.allowance.exceeded();
                    if requests >= MAX_REQUESTS {
                        return Err(Error::User(error));
                    }
                }
                answer => {
                    if answer.is_ok() {
                        self.allowance.served();
                    }
                    return answer;
                }
            }
        }
    }

    /// Waits for an answer. Before it gives up, it asks for what costs a node nothing, which tells a method that is not
    /// answered from a node that answers nothing.
    async fn wait_for<T>(
        &self,
        method: &str,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::pin!(asked);
        if let Ok(answer) = timeout(ANSWER_TIMEOUT - PROBE_TIMEOUT, &mut asked).await {
            return answer;
        }
        let probe = self.client.request_raw("system_health", None);
        let (answer, probe) = tokio::join!(
            timeout(PROBE_TIMEOUT, &mut asked),
            timeout(PROBE_TIMEOUT, probe),
        );
        match (answer, probe) {
            (Ok(answer), _) => answer,
            (Err(_), Ok(_)) => Err(silence(method)),
            (Err(_), Err(_)) => Err(Error::Client(Box::new(SilentNode))),
        }
    }

    /// Makes a request, by other means if the method does not answer as it should.
    async fn request(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>, Error> {
        let other = OtherMeans::of(method, params.as_deref());
        let is_refused = self.allowance.refuses(method);
        let error = if is_refused {
            Error::User(UserError::method_not_found())
        } else {
            match self.ask(method, params).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            }
        };
        let Some(other) = other.filter(|_| !matches!(Fault::of(&error), Fault::Elsewhere)) else {
            return Err(error);
        };
        // Without the method, a block that can't be found is one that the node hasn't; else it may have it.
        let lacks = is_absent(&error) && (!is_refused || self.allowance.lacks(method));
        match self.by(other).await {
            Ok(Value::Null) if method == BLOCK_HASH && !lacks => Err(error),
            Ok(answer) => {
                if !is_refused && matches!(Fault::of(&error), Fault::Method) {
                    self.allowance.refuse(method, is_absent(&error));
                }
                RawValue::from_string(answer.to_string()).map_err(Error::Serialization)
            }
            // What the other method says of the block is more than that this one is not asked.
            Err(other) if is_refused || matches!(Fault::of(&other), Fault::Elsewhere) => Err(other),
            Err(_) => Err(error),
        }
    }

    async fn by(&self, other: OtherMeans) -> Result<Value, Error> {
        let ask = async |method: &str, params: RpcParams| {
            let answer = self.ask(method, params.build()).await?;
            serde_json::from_str::<Value>(answer.get()).map_err(Error::Deserialization)
        };
        match other {
            OtherMeans::NoMethods => Ok(json!({ "methods": [] })),
            OtherMeans::FirstHeadOfSubscription => {
                let mut heads = self.subscribe_heads().await?;
                let first = timeout(ANSWER_TIMEOUT, heads.stream.next()).await;
                let first = first.ok().flatten().ok_or_else(|| silence(SUBSCRIBE))??;
                let header: Header =
                    serde_json::from_str(first.get()).map_err(Error::Deserialization)?;
                match ask(BLOCK_HASH, rpc_params![header.number]).await {
                    Ok(hash) if hash.is_string() => Ok(hash),
                    _ => Ok(json!(hash_of(&header))),
                }
            }
            OtherMeans::HeaderOfBlock(hash) => {
                let params = hash.map_or_else(RpcParams::new, |hash| rpc_params![hash]);
                let block = ask("chain_getBlock", params).await?;
                Ok(block.pointer("/block/header").cloned().unwrap_or_default())
            }
            OtherMeans::GenesisOfSpecification => {
                ask("chainSpec_v1_genesisHash", RpcParams::new()).await
            }
            OtherMeans::ParentOf(number) => self.walk_back(number).await,
            OtherMeans::RuntimeVersion(at) => {
                let version = ask("state_getRuntimeVersion", rpc_params![at]).await?;
                core_version(&version).ok_or_else(|| wrong_type("state_getRuntimeVersion"))
            }
            OtherMeans::Metadata { at, with_version } => {
                let metadata = ask("state_getMetadata", rpc_params![at]).await?;
                let bytes = metadata.as_str().and_then(hex::decode);
                let bytes = bytes.ok_or_else(|| wrong_type("state_getMetadata"))?;
                let answer = if with_version {
                    Some(bytes).encode()
                } else {
                    bytes.encode()
                };
                Ok(json!(hex::encode(&answer)))
            }
            OtherMeans::Query { key, at } => {
                let answer = self
                    .ask(QUERY_STORAGE, rpc_params![[&key], at].build())
                    .await?;
                let values = changes(&answer, &[&key]);
                let value = values.ok_or_else(|| wrong_type(QUERY_STORAGE))?.pop();
                Ok(json!(value.flatten().map(|bytes| hex::encode(&bytes))))
            }
        }
    }

    /// The hash of a finalized block by its number, found from its descendants.
    async fn walk_back(&self, number: u64) -> Result<Value, Error> {
        if let Some(hash) = self.walked.lock().get(&number) {
            return Ok(json!(hash));
        }
        let (mut hash, mut header) = self.finalized().await?;
        if number > header.number || header.number - number > MAX_WALK_BLOCKS {
            // As a node says that it has no such block.
            return Ok(Value::Null);
        }
        while header.number > number {
            self.note_walked(header.number, hash);
            hash = header.parent_hash;
            let parent: Option<Header> = self.rpc().request(HEADER, rpc_params![hash]).await?;
            header = parent.ok_or_else(|| failed("a parent's header is not there"))?;
        }
        self.note_walked(number, hash);
        Ok(json!(hash))
    }

    fn note_walked(&self, number: u64, hash: H256) {
        let mut walked = self.walked.lock();
        walked.insert(number, hash);
        while walked.len() as u64 > 2 * MAX_WALK_BLOCKS {
            walked.pop_first();
        }
    }

    async fn subscribe_heads(&self) -> Result<RawRpcSubscription, Error> {
        self.subscribe(SUBSCRIBE, None, UNSUBSCRIBE).await
    }

    async fn subscribe(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
        unsubscribe: &str,
    ) -> Result<RawRpcSubscription, Error> {
        let asked = || {
            self.client
                .subscribe_raw(method, params.clone(), unsubscribe)
        };
        self.within_limit(method, asked).await
    }

    /// Finalized heads, asked for again and again: one after each change.
    async fn poll_heads(self) -> Result<RawRpcSubscription, Error> {
        self.finalized().await?;
        self.allowance.refuse(SUBSCRIBE, false);
        let heads = stream::try_unfold((self, None), async |(client, last)| {
            let mut failures = 0;
            let header = loop {
                if last.is_some() {
                    sleep(POLL_EVERY).await;
                }
                match client.finalized().await {
                    // A node behind the same address may be behind another one.
                    Ok((_, header)) if last.is_none_or(|last| header.number > last) => {
                        break header;
                    }
                    Ok(_) => failures = 0,
                    Err(error) if failures >= MAX_FAILED_POLLS => return Err(error),
                    Err(_) => failures += 1,
                }
            };
            let raw = serde_json::value::to_raw_value(&header).map_err(Error::Serialization)?;
            Ok(Some((raw, (client, Some(header.number)))))
        });
        Ok(RawRpcSubscription {
            stream: Box::pin(heads),
            id: None,
        })
    }
}

impl RpcClientT for EndpointClient {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(async move {
            let asks_versions = params
                .as_ref()
                .is_some_and(|params| params.get().contains("\"Metadata_metadata_versions\""));
            let answer = self.request(method, params).await?;
            if method == "rpc_methods" && has_older_methods(&answer) {
                return RawValue::from_string(r#"{"methods":[]}"#.to_owned())
                    .map_err(Error::Serialization);
            }
            if method == "state_call" && asks_versions {
                return readable_versions(answer);
            }
            Ok(answer)
        })
    }

    fn subscribe_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
        unsubscribe: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(async move {
            let polls = method == SUBSCRIBE;
            let error = if polls && self.allowance.refuses(method) {
                Error::User(UserError::method_not_found())
            } else {
                match self.subscribe(method, params, unsubscribe).await {
                    Ok(subscription) => return Ok(subscription),
                    Err(error) => error,
                }
            };
            if !polls || matches!(Fault::of(&error), Fault::Elsewhere) {
                return Err(error);
            }
            let polled: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(self.clone().poll_heads());
            polled.await.map_err(|_| error)
        })
    }
}

/// Other means to the answer of a method.
enum OtherMeans {
    /// The list of methods: a node that gives none is taken to have the older ones.
    NoMethods,
    FirstHeadOfSubscription,
    HeaderOfBlock(Option<Value>),
    GenesisOfSpecification,
    ParentOf(u64),
    RuntimeVersion(Value),
    /// The runtime's metadata, as a function that is called by a version of it answers, or as the plain one does.
    Metadata {
        at: Value,
        with_version: bool,
    },
    Query {
        key: String,
        at: Value,
    },
}

impl OtherMeans {
    fn of(method: &str, params: Option<&RawValue>) -> Option<Self> {
        let params: Vec<Value> = params
            .and_then(|params| serde_json::from_str(params.get()).ok())
            .unwrap_or_default();
        let first = params.first();
        Some(match method {
            "rpc_methods" => Self::NoMethods,
            FINALIZED_HEAD => Self::FirstHeadOfSubscription,
            HEADER => Self::HeaderOfBlock(first.cloned()),
            BLOCK_HASH => match first?.as_u64()? {
                0 => Self::GenesisOfSpecification,
                number => Self::ParentOf(number),
            },
            "state_call" => match first?.as_str()? {
                "Core_version" => Self::RuntimeVersion(params.get(2)?.clone()),
                function @ ("Metadata_metadata" | "Metadata_metadata_at_version") => {
                    Self::Metadata {
                        at: params.get(2)?.clone(),
                        with_version: function != "Metadata_metadata",
                    }
                }
                _ => return None,
            },
            "state_getStorage" => Self::Query {
                key: first?.as_str()?.to_owned(),
                at: params.get(1)?.clone(),
            },
            _ => return None,
        })
    }
}

/// What an error says of the method that was asked.
enum Fault {
    /// The method is not served, or does not answer as it should.
    Method,
    /// This one answer can't be had.
    Answer,
    /// The connection is gone, or the block is: another method would not help.
    Elsewhere,
}

impl Fault {
    fn of(error: &Error) -> Self {
        match error {
            Error::User(error) if error.code == METHOD_NOT_FOUND || is_over_limit(error) => {
                Self::Method
            }
            Error::User(error) if BlockFault::of(&error.message).is_some() => Self::Elsewhere,
            Error::User(_) => Self::Answer,
            Error::Client(cause) if cause.is::<BadAnswer>() => Self::Method,
            _ => Self::Elsewhere,
        }
    }
}

const METHOD_NOT_FOUND: i32 = -32601;

fn is_absent(error: &Error) -> bool {
    matches!(error, Error::User(error) if error.code == METHOD_NOT_FOUND)
}

/// "Limit exceeded", as EIP-1474 has it and many providers use it.
const LIMIT_EXCEEDED: i32 = -32005;

fn is_over_limit(error: &UserError) -> bool {
    let message = error.message.to_lowercase();
    error.code == LIMIT_EXCEEDED
        || error.code == 429
        || ["too many requests", "rate limit", "limit exceeded"]
            .iter()
            .any(|words| message.contains(words))
}

/// An answer that did not come in time, or is of another form than the method has.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadAnswer(String);

/// Nothing that the node was asked came in time.
#[derive(Debug, thiserror::Error)]
#[error("the node did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
struct SilentNode;

fn failed(reason: &str) -> Error {
    Error::Client(Box::new(BadAnswer(reason.to_owned())))
}

fn silence(method: &str) -> Error {
    let seconds = ANSWER_TIMEOUT.as_secs();
    failed(&format!(
        "the node did not answer within {seconds} s ({method})"
    ))
}

fn wrong_type(method: &str) -> Error {
    failed(&format!(
        "the node's answer to {method} has another form than it should"
    ))
}

/// Looks at the first character of an answer, which tells text, objects and lists apart.
fn has_form(method: &str, answer: &RawValue) -> bool {
    let first = answer.get().trim_start().chars().next().unwrap_or(' ');
    let forms = match method {
        FINALIZED_HEAD | "state_call" | "state_getMetadata" | "chainSpec_v1_genesisHash" => "\"",
        BLOCK_HASH => "\"n[",
        HEADER | "chain_getBlock" => "{n",
        "rpc_methods" | "state_getRuntimeVersion" => "{",
        "state_getStorage" | "state_getStorageHash" => "\"n",
        QUERY_STORAGE => "[",
        _ => return true,
    };
    forms.contains(first)
}

fn has_older_methods(answer: &RawValue) -> bool {
    let methods: Value = serde_json::from_str(answer.get()).unwrap_or_default();
    let methods = methods.get("methods").and_then(Value::as_array);
    methods.is_some_and(|methods| OLDER_METHODS.iter().all(|m| methods.contains(&json!(m))))
}

/// The newest version of metadata that subxt reads.
const NEWEST_METADATA: u32 = 16;

/// Leaves out the versions of metadata that are not read, since the newest one is asked for.
fn readable_versions(answer: Box<RawValue>) -> Result<Box<RawValue>, Error> {
    let text: Option<String> = serde_json::from_str(answer.get()).ok();
    let bytes = text.as_deref().and_then(hex::decode);
    let versions = bytes.and_then(|bytes| Vec::<u32>::decode(&mut &bytes[..]).ok());
    let Some(mut versions) = versions else {
        return Ok(answer);
    };
    versions.retain(|version| *version <= NEWEST_METADATA);
    let text = json!(hex::encode(&versions.encode())).to_string();
    RawValue::from_string(text).map_err(Error::Serialization)
}

/// Reads the answer of a query for several keys; nothing if it is not one.
fn changes(answer: &RawValue, keys: &[&str]) -> Option<Vec<Option<Vec<u8>>>> {
    let sets: Value = serde_json::from_str(answer.get()).ok()?;
    let changes = sets.get(0)?.get("changes")?.as_array()?;
    let value = |key: &&str| {
        let change = changes
            .iter()
            .find(|change| change.get(0) == Some(&json!(key)))?;
        match change.get(1)? {
            Value::Null => Some(None),
            value => Some(Some(hex::decode(value.as_str()?)?)),
        }
    };
    keys.iter().map(value).collect()
}

/// A header's hash, by the hash function of nearly all chains.
pub(super) fn hash_of(header: &Header) -> H256 {
    BlakeTwo256.hash(&header.encode())
}

/// The runtime's version as `Core_version` answers it, of the JSON that `state_getRuntimeVersion` answers.
fn core_version(version: &Value) -> Option<Value> {
    let text = |name: &str| version.get(name)?.as_str().map(str::to_owned);
    let number = |name: &str| u32::try_from(version.get(name)?.as_u64()?).ok();
    let apis: Vec<([u8; 8], u32)> = Vec::new();
    let bytes = (
        text("specName").unwrap_or_default(),
        text("implName").unwrap_or_default(),
        number("authoringVersion").unwrap_or_default(),
        number("specVersion")?,
        number("implVersion").unwrap_or_default(),
        apis,
        number("transactionVersion").unwrap_or_default(),
    )
        .encode();
    Some(json!(hex::encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_limit_is_told_from_an_answer_that_is_too_big() {
        let error = |code, message: &str| UserError {
            code,
            message: message.to_owned(),
            data: None,
        };
        for (code, message, is_limit) in [
            (-32005, "Too many requests", true),
            (-32000, "Rate limit reached, see your plan", true),
            (429, "slow down", true),
            (-32008, "Response is too big", false),
            (
                -32702,
                "Response is too big: Exceeded max limit of 1048576",
                false,
            ),
            (
                -32800,
                "Maximum number of chainHead_follow has been reached",
                false,
            ),
        ] {
            assert_eq!(is_over_limit(&error(code, message)), is_limit, "{message}");
        }
    }

    #[test]
    fn values_stand_in_the_order_of_their_keys_and_a_query_without_one_is_no_answer() {
        let keys = ["0x01", "0x02"];
        let answer = r#"[{"block":"0xab","changes":[["0x02",null],["0x01","0x0a0b"]]}]"#;
        let values = vec![Some(vec![10, 11]), None];
        assert_eq!(changes(&raw(answer), &keys), Some(values));
        for answer in [
            "[]",
            "{}",
            r#"[{"changes":[["0x01","0x0a"]]}]"#,
            r#"[{"changes":[["0x01",5],["0x02",null]]}]"#,
        ] {
            assert_eq!(changes(&raw(answer), &keys), None, "{answer}");
        }
    }

    #[test]
    fn the_newer_methods_are_for_nodes_that_lack_an_older_one() {
        let listed = |leave_out: &str| {
            let methods: Vec<&str> = OLDER_METHODS
                .into_iter()
                .chain(["chainHead_v1_follow"])
                .filter(|m| *m != leave_out)
                .collect();
            raw(&json!({ "methods": methods }).to_string())
        };
        assert!(has_older_methods(&listed("")));
        assert!(!has_older_methods(&listed("state_call")));
        assert!(!has_older_methods(&raw("{}")));
    }
}
