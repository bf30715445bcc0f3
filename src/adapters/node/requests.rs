//! Requests to one endpoint, within the limit that it allows.

use std::{sync::Arc, time::Duration};

use jsonrpsee::{
    client_transport::ws::WsHandshakeError,
    core::client::Error as TransportError,
    ws_client::{WsClient, WsClientBuilder},
};
use serde_json::value::RawValue;
use subxt::rpcs::{
    Error, UserError,
    client::{RawRpcSubscription, RpcClientT},
};
use tokio::time::timeout;

use super::{
    allowance::Allowance,
    error::{BlockFault, root_cause},
};

/// The longest wait for one answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Of that, how long a node has to show that it answers anything.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest answer that is taken: nodes send up to 15 MB by default.
const MAX_ANSWER_BYTES: u32 = 16 * 1024 * 1024;
/// A request that is over the limit is made so often.
const MAX_REQUESTS: u32 = 6;

pub(super) const SUBSCRIBE: &str = "chain_subscribeFinalizedHeads";
pub(super) const UNSUBSCRIBE: &str = "chain_unsubscribeFinalizedHeads";
pub(super) const FINALIZED_HEAD: &str = "chain_getFinalizedHead";
pub(super) const HEADER: &str = "chain_getHeader";
pub(super) const BLOCK_HASH: &str = "chain_getBlockHash";
pub(super) const QUERY_STORAGE: &str = "state_queryStorageAt";

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

/// The requests to one endpoint.
#[derive(Clone)]
pub(super) struct Requests {
    client: Arc<WsClient>,
    pub allowance: Arc<Allowance>,
}

impl Requests {
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
        })
    }

    /// Makes one request, within the limit of the endpoint, and looks at the form of its answer.
    pub async fn ask(
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

    pub async fn subscribe(
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
}

/// What an error says of the method that was asked.
pub(super) enum Fault {
    /// The method is not served, or does not answer as it should.
    Method,
    /// This one answer can't be had.
    Answer,
    /// The connection is gone, or the block is: another method would not help.
    Elsewhere,
}

impl Fault {
    pub fn of(error: &Error) -> Self {
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

pub(super) fn is_absent(error: &Error) -> bool {
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

pub(super) fn failed(reason: &str) -> Error {
    Error::Client(Box::new(BadAnswer(reason.to_owned())))
}

pub(super) fn silence(method: &str) -> Error {
    let seconds = ANSWER_TIMEOUT.as_secs();
    failed(&format!(
        "the node did not answer within {seconds} s ({method})"
    ))
}

pub(super) fn wrong_type(method: &str) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
