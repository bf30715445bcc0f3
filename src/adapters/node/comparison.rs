//! The comparison of the node that is read with what was read before, and with what its witnesses show.

use std::sync::atomic::Ordering;

use futures::future::join_all;

use super::{
    connection::Connection,
    witness::{Witness, WitnessAnswer},
};
use crate::{domain::chain::memory::Memory, ports::ChainError};

/// The reason to leave an endpoint that is on another chain.
pub(super) const OTHER_CHAIN: &str = "belongs to another chain: its genesis is another one";

/// The verdict of the comparison on the node that is read.
pub(super) enum Comparison {
    Believed,
    /// Go on with another node, for this reason.
    Leave(String),
    /// Believe nobody for now, for this reason.
    Hold(String),
}

/// A witness that was asked, and its answer if it gave one.
pub(super) struct AskedWitness<'a> {
    pub index: usize,
    pub witness: &'a Witness,
    pub answer: Option<WitnessAnswer>,
}

/// The witnesses that show the same block as the node that is read, and those that show another one. A witness without
/// the hash, or for whose height the node has none, is neither for nor against.
#[derive(Default)]
pub(super) struct Votes {
    /// Index and finalized head of each that agrees.
    pub agree: Vec<(usize, u64)>,
    /// Index of each that differs, the height that was compared, and the hash it shows there.
    pub differ: Vec<(usize, u64, String)>,
    /// Index of each that belongs to another chain than the one that is known.
    pub strangers: Vec<usize>,
}

/// Asks every endpoint but the one that is read for its finalized head.
pub(super) async fn ask_witnesses(witnesses: &[Witness], except: usize) -> Vec<AskedWitness<'_>> {
    let others = witnesses
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != except);
    join_all(others.map(|(index, witness)| async move {
        AskedWitness {
            index,
            witness,
            answer: witness.finalized_head().await,
        }
    }))
    .await
}

/// Compares blocks at the lower of two heads, with each witness that answered.
pub(super) async fn take_votes(
    connection: &Connection,
    chain_is_known: bool,
    head: (u64, &str),
    heard: &[AskedWitness<'_>],
) -> Result<Votes, ChainError> {
    let mut votes = Votes::default();
    for (index, witness, answer) in heard
        .iter()
        .filter_map(|h| Some((h.index, h.witness, h.answer.as_ref()?)))
    {
        if answer.genesis != connection.genesis {
            if chain_is_known {
                votes.strangers.push(index);
            } else {
                // Nothing is known yet that would say which chain is meant.
                votes.differ.push((index, 0, answer.genesis.clone()));
            }
            continue;
        }
        let (height, ours, theirs) = if answer.number >= head.0 {
            let theirs = witness.hash_at(head.0).await;
            (head.0, Some(head.1.to_owned()), theirs)
        } else {
            let ours = connection.hash_at(answer.number).await?;
            (answer.number, ours, Some(answer.hash.clone()))
        };
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            if ours == theirs {
                votes.agree.push((index, answer.number));
            } else {
                votes.differ.push((index, height, theirs));
            }
        }
    }
    Ok(votes)
}

/// The majority, where some witness differs. With it come the endpoints to be left, each with the reason.
pub(super) fn majority(votes: &Votes, at: u64) -> (Comparison, Vec<(usize, String)>) {
    let with_us = votes.agree.len() + 1;
    // Witnesses that differ from this node may differ among themselves.
    let against = votes
        .differ
        .iter()
        .map(|(_, _, hash)| votes.differ.iter().filter(|other| other.2 == *hash).count())
        .max()
        .unwrap_or(0);
    if against > with_us {
        let reason = format!("shows another finalized block {at} than {against} others");
        return (Comparison::Leave(reason), Vec::new());
    }
    if against < with_us && !votes.agree.is_empty() {
        let left = votes.differ.iter().map(|(index, at, _)| {
            let reason = format!("shows another finalized block {at} than {with_us} others");
            (*index, reason)
        });
        return (Comparison::Believed, left.collect());
    }
    let reason = format!(
        "two nodes show different finalized blocks {at}: nothing is announced until they agree; compare them with a block explorer and take the wrong one out of herald.yaml"
    );
    (Comparison::Hold(reason), Vec::new())
}

/// Compares the node with the last block that was read; nothing where it fits, so that the comparison goes on. A
/// connection is asked once.
pub(super) async fn compare_with_known(
    connection: &Connection,
    known: &Memory,
    head: u64,
    heard: &[AskedWitness<'_>],
) -> Result<Option<Comparison>, ChainError> {
    if known.genesis != connection.genesis {
        return Ok(Some(other_genesis(known, &connection.genesis, heard)));
    }
    if known.number > head {
        // The node is behind what was read already: another one may not be.
        let ahead = heard.iter().any(|h| {
            let reaches = |answer: &WitnessAnswer| answer.number >= known.number;
            !h.witness.is_left() && h.answer.as_ref().is_some_and(reaches)
        });
        let behind = known.number - head;
        return Ok(ahead.then(|| {
            Comparison::Leave(format!("is {behind} blocks behind what was read before"))
        }));
    }
    if connection.vouched.load(Ordering::Relaxed) && !connection.rewritten.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let Some(hash) = connection.hash_at(known.number).await? else {
        return Ok(None);
    };
    let rewritten = hash != known.hash;
    if rewritten && let Some(verdict) = compare_rewritten(known, heard).await {
        return Ok(Some(verdict));
    }
    connection.vouched.store(true, Ordering::Relaxed);
    connection.rewritten.store(rewritten, Ordering::Relaxed);
    Ok(None)
}

/// The node shows another block than was read: nothing if all that answer do, since then the chain itself was rolled back.
async fn compare_rewritten(known: &Memory, heard: &[AskedWitness<'_>]) -> Option<Comparison> {
    let number = known.number;
    let mut against = 0;
    for AskedWitness { witness, .. } in heard.iter().filter(|h| h.answer.is_some()) {
        match witness.hash_at(number).await {
            Some(hash) if hash == known.hash => {
                return Some(Comparison::Leave(format!(
                    "shows another block {number} than was read before"
                )));
            }
            Some(_) => against += 1,
            None => {}
        }
    }
    (against == 0 && !heard.is_empty()).then(|| {
        Comparison::Hold(format!(
            "a node shows another block {number} than was read before, and no other one answers: which is right can't be told yet"
        ))
    })
}

/// The node has another genesis: the chain was reset if all that answer show it, and the address is wrong if one still
/// shows the known chain.
fn other_genesis(known: &Memory, genesis: &str, heard: &[AskedWitness<'_>]) -> Comparison {
    let any_shows = |genesis: &str| {
        heard
            .iter()
            .filter_map(|h| h.answer.as_ref())
            .any(|answer| answer.genesis == genesis)
    };
    if any_shows(&known.genesis) {
        Comparison::Leave(OTHER_CHAIN.to_owned())
    } else if heard.is_empty() || any_shows(genesis) {
        Comparison::Believed
    } else {
        Comparison::Hold(
            "a node shows a chain with another genesis, and the others don't answer: whether the chain was reset can't be told yet"
                .to_owned(),
        )
    }
}
