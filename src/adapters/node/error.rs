//! What nodes say when they do not answer, and what it means.

use std::time::Duration;

use tokio::time::timeout;

use crate::ports::ChainError;

/// The longest wait for what may take several requests, each of which has its own limit.
const STEP_TIMEOUT: Duration = Duration::from_mins(2);

pub(super) async fn answer<T, E: std::error::Error>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, ChainError> {
    match timeout(STEP_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(answered(&whole(&error))),
        Err(_) => Err(ChainError::Unreachable(format!(
            "the node did not answer within {} s",
            STEP_TIMEOUT.as_secs()
        ))),
    }
}

/// A block that a node can't show, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockFault {
    /// Its state was pruned.
    Gone,
    /// The node doesn't have it at all.
    Absent,
}

impl BlockFault {
    /// Reads the words by which nodes say so.
    pub fn of(reason: &str) -> Option<Self> {
        let lower = reason.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
        if says(&["discarded", "pruned"]) {
            return Some(Self::Gone);
        }
        // "Function … was not found" is of the runtime, and "Method not found" of the node, not of the block.
        let absent = says(&["unknown block", "unknownblock", "not found"]);
        (absent && !says(&["function", "method"])).then_some(Self::Absent)
    }
}

fn answered(whole: &str) -> ChainError {
    let reason = without_layers(whole);
    match BlockFault::of(&reason) {
        Some(BlockFault::Gone) => ChainError::Gone(reason),
        Some(BlockFault::Absent) => ChainError::Absent(reason),
        None if BROKEN.iter().any(|words| whole.contains(words)) => ChainError::Unreachable(reason),
        None => ChainError::Answer(reason),
    }
}

/// The words of a node that did not answer, and of a connection that broke.
const BROKEN: [&str; 2] = ["did not answer within", "restart required"];

/// The names of the client's layers, which say nothing of what went wrong.
const LAYERS: [&str; 6] = [
    "Backend error: ",
    "RPC error: ",
    "client error: ",
    "User error: ",
    "The background task closed ",
    "; restart required",
];

/// The error and what is behind it, without the client's own words.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    without_layers(&whole(error))
}

fn without_layers(text: &str) -> String {
    LAYERS
        .iter()
        .fold(text.to_owned(), |text, layer| text.replace(layer, ""))
}

/// The error and what is behind it, each said once.
fn whole(error: &dyn std::error::Error) -> String {
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
