//! One endpoint's JSON-RPC. Every request to a node goes through here.
//!
//! Providers differ in what they serve: some forbid a method, refuse an answer as too big, or allow few requests a
//! second. A request over the limit is made again, more slowly. What one method does not answer is asked of another one
//! that knows it too, so that no single method is needed.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use parking_lot::Mutex;
use serde_json::{Value, json, value::RawValue};
use subxt::{
    config::{
        Hasher,
        substrate::{BlakeTwo256, SubstrateHeader},
    },
    ext::codec::Encode,
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
    other_means::{OtherMeans, changes, core_version, has_older_methods, readable_versions},
    requests::{
        ANSWER_TIMEOUT, BLOCK_HASH, FINALIZED_HEAD, Fault, HEADER, OpenError, QUERY_STORAGE,
        Requests, SUBSCRIBE, UNSUBSCRIBE, failed, is_absent, silence, wrong_type,
    },
};
use crate::domain::hex;

/// The pause between two questions for the finalized head of an endpoint that has no subscription to it.
const POLL_EVERY: Duration = Duration::from_secs(3);
/// So many polls in a row may fail before the stream ends.
const MAX_FAILED_POLLS: u32 = 3;
/// The most blocks by which a hash is searched behind the finalized head, where no method knows it by its number.
const MAX_WALK_BLOCKS: u64 = 256;

pub(super) type Header = SubstrateHeader<H256>;

/// The client of one endpoint.
#[derive(Clone)]
pub(super) struct EndpointClient {
    requests: Requests,
    /// Hashes of finalized blocks that were found by walking back.
    walked: Arc<Mutex<BTreeMap<u64, H256>>>,
}

impl EndpointClient {
    pub async fn open(url: &str, allowance: Arc<Allowance>) -> Result<Self, OpenError> {
        Ok(Self {
            requests: Requests::open(url, allowance).await?,
            walked: Arc::default(),
        })
    }

    pub fn rpc(&self) -> RpcClient {
        RpcClient::new(self.clone())
    }

    /// Takes note that the subscription stands and tells nothing: the next connection asks for heads instead.
    pub fn refuse_subscription(&self) {
        self.requests.allowance.refuse(SUBSCRIBE, false);
    }

    /// The values of several keys at a block, by one request. `None` where no value stands.
    pub async fn values(&self, keys: &[&str], at: H256) -> Result<Vec<Option<Vec<u8>>>, Error> {
        if self.requests.allowance.refuses(QUERY_STORAGE) {
            return Err(UserError::method_not_found().into());
        }
        let params = rpc_params![keys, format!("{at:?}")].build();
        let error = match self.requests.ask(QUERY_STORAGE, params).await {
            Ok(answer) => match changes(&answer, keys) {
                Some(values) => return Ok(values),
                None => wrong_type(QUERY_STORAGE),
            },
            Err(error) => error,
        };
        if matches!(Fault::of(&error), Fault::Method) {
            self.requests
                .allowance
                .refuse(QUERY_STORAGE, is_absent(&error));
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

    /// Makes a request, by other means if the method does not answer as it should.
    async fn request(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>, Error> {
        let other = OtherMeans::of(method, params.as_deref());
        let is_refused = self.requests.allowance.refuses(method);
        let error = if is_refused {
            Error::User(UserError::method_not_found())
        } else {
            match self.requests.ask(method, params).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            }
        };
        let Some(other) = other.filter(|_| !matches!(Fault::of(&error), Fault::Elsewhere)) else {
            return Err(error);
        };
        // Without the method, a block that can't be found is one that the node hasn't; else it may have it.
        let lacks = is_absent(&error) && (!is_refused || self.requests.allowance.lacks(method));
        match self.by(other).await {
            Ok(Value::Null) if method == BLOCK_HASH && !lacks => Err(error),
            Ok(answer) => {
                if !is_refused && matches!(Fault::of(&error), Fault::Method) {
                    self.requests.allowance.refuse(method, is_absent(&error));
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
            let answer = self.requests.ask(method, params.build()).await?;
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
                    .requests
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
        self.requests.subscribe(SUBSCRIBE, None, UNSUBSCRIBE).await
    }

    /// Finalized heads, asked for again and again: one after each change.
    async fn poll_heads(self) -> Result<RawRpcSubscription, Error> {
        self.finalized().await?;
        self.requests.allowance.refuse(SUBSCRIBE, false);
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
            let error = if polls && self.requests.allowance.refuses(method) {
                Error::User(UserError::method_not_found())
            } else {
                match self.requests.subscribe(method, params, unsubscribe).await {
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

/// A header's hash, by the hash function of nearly all chains.
pub(super) fn hash_of(header: &Header) -> H256 {
    BlakeTwo256.hash(&header.encode())
}
