//! A week of a chain's blocks, sampled for its activity.
//!
//! Four methods suffice: `chain_getFinalizedHead`, `chain_getHeader`, `chain_getBlockHash` and
//! `chain_getBlock`. No state and no metadata is asked for, so a node that keeps little state will do: bodies are kept
//! longer, and mostly for ever. What must be known of a body can be told from its bytes (see [`extrinsic`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use subxt::{
    ext::codec::{Compact, Decode},
    rpcs::{RpcClient, client::RpcParams, rpc_params},
};
use tokio::time::sleep;

use super::{allowance::Allowance, endpoint::EndpointClient, error::answer, witness::host};
use crate::{
    domain::{
        chain::activity::{HOURS_A_WEEK, Sampled, last_week, wanted},
        hex,
    },
    ports::ChainError,
};

/// The number of blocks that are asked for side by side.
const MAX_BLOCKS_IN_FLIGHT: usize = 16;
/// The number of times a block is asked for again, after half a second and then a second.
const MAX_RETRIES: u32 = 2;
/// The number of blocks in a row that fail to be read before the node is given up.
const MAX_FAILURES_IN_A_ROW: usize = 16;
/// A first guess of how many blocks a week has: one each 6 s.
const BLOCKS_A_WEEK: u64 = 100_800;

/// The blocks that were read, and from where.
#[derive(Debug)]
pub struct ActivitySample {
    /// The node, as scheme and host.
    pub node: String,
    pub head: Sampled,
    pub blocks: BTreeMap<u64, Sampled>,
    /// The first block that the node still has, if it lacks older ones of the week.
    pub oldest: Option<u64>,
    /// Blocks that were asked for and not given.
    pub missed: usize,
    /// The size of all bodies.
    pub bytes: u64,
}

/// Reads about `count` blocks of the last week from the first endpoint that answers; `progress` is told how many are read.
pub async fn sample(
    endpoints: &[String],
    count: u32,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<ActivitySample, ChainError> {
    let node = BlockBodies::connect(endpoints).await?;
    let head = node.head().await?;
    let gone = || {
        ChainError::Answer(format!(
            "{}: the node does not give its newest block; {READ_REMEDY}",
            node.name
        ))
    };
    let head = node.block(head).await?.ok_or_else(gone)?;
    let mut sample = ActivitySample {
        node: node.name.clone(),
        head,
        blocks: BTreeMap::from([(head.number, head)]),
        oldest: None,
        missed: 0,
        bytes: 0,
    };
    // Without a time the blocks can't be laid over the week.
    if let Some((from, until)) = head.at.and_then(last_week) {
        node.reach(from, &mut sample).await?;
        let each = i64::from(count / u32::try_from(HOURS_A_WEEK).unwrap_or(u32::MAX)).max(1);
        let step = SignedDuration::from_secs(3600 / each);
        // First a few all over the week, so that the times of the others are known; then all; then what was misjudged.
        for step in [SignedDuration::from_hours(3), step, step] {
            let numbers = wanted(&sample.blocks, from, until, step);
            node.read(numbers, &mut sample, progress).await?;
        }
    }
    sample.bytes = node.bytes.load(Ordering::Relaxed);
    Ok(sample)
}

const READ_REMEDY: &str = "try again later, or ask another node with --url";

/// A node that is asked for block bodies.
struct BlockBodies {
    rpc: RpcClient,
    name: String,
    bytes: AtomicU64,
}

#[derive(Deserialize)]
struct Header {
    number: String,
}

#[derive(Deserialize)]
struct Signed {
    block: BlockBody,
}

#[derive(Deserialize)]
struct BlockBody {
    extrinsics: Vec<String>,
}

impl BlockBodies {
    async fn connect(endpoints: &[String]) -> Result<Self, ChainError> {
        let mut reasons = Vec::new();
        for endpoint in endpoints {
            let name = host(endpoint).to_owned();
            match EndpointClient::open(endpoint, Arc::new(Allowance::new())).await {
                Ok(client) => {
                    return Ok(Self {
                        rpc: client.rpc(),
                        name,
                        bytes: AtomicU64::new(0),
                    });
                }
                Err(error) => reasons.push(format!(
                    "{name}: {}",
                    error.to_string().replace(endpoint.as_str(), &name)
                )),
            }
        }
        let reasons = reasons.join("; ");
        Err(ChainError::Unreachable(format!(
            "no node answers ({reasons}); check the endpoints in herald.yaml and the node, or ask another with --url"
        )))
    }

    /// The number of the newest finalized block.
    async fn head(&self) -> Result<u64, ChainError> {
        let hash: String =
            answer(self.rpc.request("chain_getFinalizedHead", RpcParams::new())).await?;
        let header: Option<Header> =
            answer(self.rpc.request("chain_getHeader", rpc_params![hash])).await?;
        let number =
            header.and_then(|h| u64::from_str_radix(h.number.trim_start_matches("0x"), 16).ok());
        number.ok_or_else(|| {
            ChainError::Answer(format!(
                "{}: the newest block has no number; {READ_REMEDY}",
                self.name
            ))
        })
    }

    /// One block, or `None` where the node doesn't have it.
    async fn block(&self, number: u64) -> Result<Option<Sampled>, ChainError> {
        let mut tries = 0;
        loop {
            match self.try_block(number).await {
                Err(ChainError::Gone(_) | ChainError::Absent(_)) => return Ok(None),
                Err(_) if tries < MAX_RETRIES => {
                    tries += 1;
                    sleep(Duration::from_millis(500) * tries).await;
                }
                other => return other,
            }
        }
    }

    async fn try_block(&self, number: u64) -> Result<Option<Sampled>, ChainError> {
        let hash: Option<String> =
            answer(self.rpc.request("chain_getBlockHash", rpc_params![number])).await?;
        let Some(hash) = hash else { return Ok(None) };
        let signed: Option<Signed> =
            answer(self.rpc.request("chain_getBlock", rpc_params![hash])).await?;
        let Some(signed) = signed else {
            return Ok(None);
        };
        let size: usize = signed.block.extrinsics.iter().map(|e| e.len() / 2).sum();
        self.bytes
            .fetch_add(u64::try_from(size).unwrap_or(0), Ordering::Relaxed);
        Ok(Some(read_body(
            number,
            signed.block.extrinsics.iter().map(String::as_str),
        )))
    }

    /// Finds a block that is as old as `from`, or the oldest that the node has.
    async fn reach(&self, from: Timestamp, sample: &mut ActivitySample) -> Result<(), ChainError> {
        let head = sample.head;
        // Genesis bears neither time nor transactions.
        let (mut gone, mut lowest) = (0, head.number);
        let mut guess = head.number.saturating_sub(BLOCKS_A_WEEK).max(1);
        while gone + 1 < lowest {
            guess = guess.clamp(gone + 1, lowest - 1);
            let Some(block) = self.block(guess).await? else {
                gone = guess;
                guess = gone.midpoint(lowest);
                continue;
            };
            sample.blocks.insert(block.number, block);
            lowest = block.number;
            let (Some(newest), Some(at)) = (head.at, block.at) else {
                break;
            };
            if at <= from {
                break;
            }
            guess = if gone > 0 {
                gone.midpoint(lowest)
            } else {
                further(head.number, newest, lowest, at, from)
            };
        }
        let starts = sample.blocks.get(&lowest).and_then(|b| b.at);
        sample.oldest = (gone > 0 && starts.is_some_and(|at| at > from)).then_some(lowest);
        Ok(())
    }

    async fn read(
        &self,
        numbers: BTreeSet<u64>,
        sample: &mut ActivitySample,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(), ChainError> {
        let mut answers = futures::stream::iter(numbers)
            .map(|number| self.block(number))
            .buffer_unordered(MAX_BLOCKS_IN_FLIGHT);
        let mut failures = 0;
        while let Some(read) = answers.next().await {
            match read {
                Ok(Some(block)) => {
                    failures = 0;
                    sample.blocks.insert(block.number, block);
                }
                Ok(None) => sample.missed += 1,
                Err(error) => {
                    failures += 1;
                    sample.missed += 1;
                    if failures >= MAX_FAILURES_IN_A_ROW {
                        let after = sample.blocks.len();
                        return Err(ChainError::Unreachable(format!(
                            "{} broke off after {after} blocks: {error}; {READ_REMEDY}",
                            self.name
                        )));
                    }
                }
            }
            progress(sample.blocks.len());
        }
        Ok(())
    }
}

/// The block to look at next, by the pace from `number` to the head, and a little behind so that it is old enough.
fn further(head: u64, newest: Timestamp, number: u64, at: Timestamp, from: Timestamp) -> u64 {
    let seconds = newest.duration_since(at).as_secs_f64().max(0.001);
    let pace = head.saturating_sub(number) as f64 / seconds;
    let back = newest.duration_since(from).as_secs_f64() * pace * 1.05 + 1.0;
    head.saturating_sub(back as u64)
}

/// An extrinsic, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extrinsic {
    /// Somebody sent it: signed (version 4) or general (version 5).
    Transaction,
    /// The block's author put it in, or it needs no signature. With the block's time, if it is `timestamp.set`.
    Bare(Option<Timestamp>),
    Unreadable,
}

/// The times that a block may have, from 2017 to 2100.
const PLAUSIBLE_MS: RangeInclusive<u64> = 1_483_228_800_000..=4_102_444_800_000;

fn read_body<'a>(number: u64, extrinsics: impl Iterator<Item = &'a str>) -> Sampled {
    let (mut at, mut transactions) = (None, 0);
    for text in extrinsics {
        match extrinsic(text) {
            Extrinsic::Transaction => transactions += 1,
            Extrinsic::Bare(time) => at = at.or(time),
            Extrinsic::Unreadable => {}
        }
    }
    Sampled {
        number,
        at,
        transactions,
    }
}

/// Reads an extrinsic without the chain's metadata.
///
/// It begins with its length (compact) and a byte of kind and version: `84` is signed in version 4, `45` general in version 5,
/// `04` and `05` are bare. Of the bare ones only `timestamp.set` is looked into. Its pallet's index differs from chain to chain,
/// so it is known by its shape: two bytes of call index, then a compact number and nothing else, and the number is a Unix time
/// in milliseconds of this century.
fn extrinsic(text: &str) -> Extrinsic {
    // The beginning tells all; bodies can be large.
    let Some(bytes) = hex::decode(text.get(..80).unwrap_or(text)) else {
        return Extrinsic::Unreadable;
    };
    let mut rest = bytes.as_slice();
    let Ok(Compact(length)) = Compact::<u32>::decode(&mut rest) else {
        return Extrinsic::Unreadable;
    };
    let Some((version, call)) = rest.split_first() else {
        return Extrinsic::Unreadable;
    };
    match version & 0b1100_0000 {
        0 => Extrinsic::Bare(time(call, length)),
        _ => Extrinsic::Transaction,
    }
}

fn time(call: &[u8], length: u32) -> Option<Timestamp> {
    let mut rest = call.get(2..)?;
    let Compact(ms) = Compact::<u64>::decode(&mut rest).ok()?;
    let whole = rest.is_empty() && u32::try_from(call.len() + 1) == Ok(length);
    i64::try_from(ms)
        .ok()
        .filter(|_| whole && PLAUSIBLE_MS.contains(&ms))
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use subxt::ext::codec::Encode;

    /// With its length before it.
    fn sized(content: &[u8]) -> String {
        hex::encode(&content.to_vec().encode())
    }

    fn timestamp(version: u8, pallet: u8, ms: u64) -> String {
        sized(&[vec![version, pallet, 0], Compact(ms).encode()].concat())
    }

    /// Kind, then an address, a signature and a call: 0xff stands for what isn't looked at.
    fn sent(version: u8, length: usize) -> String {
        sized(&[vec![version, 0], vec![0xff; length]].concat())
    }

    #[test]
    fn the_time_is_found_without_metadata() {
        // `timestamp.set(2026-12-08T13:00:00Z)` on a chain whose timestamp pallet is the third.
        assert_eq!(
            timestamp(4, 2, 1_796_734_800_000),
            "0x280402000b8050bd55a201"
        );
        let at: Timestamp = "2026-12-08T13:00:00Z".parse().unwrap();
        for (version, pallet) in [(4, 2), (4, 3), (5, 0), (5, 40)] {
            assert_eq!(
                extrinsic(&timestamp(version, pallet, 1_796_734_800_000)),
                Extrinsic::Bare(Some(at))
            );
        }
    }

    #[test]
    fn other_bare_ones_are_no_time_and_no_transaction() {
        for other in [
            timestamp(4, 2, 1_796_734_800),                     // seconds
            timestamp(4, 2, 9_000_000_000_000),                 // in the year 2255
            sized(&[4, 54, 0]),                                 // no argument
            sized(&[vec![4, 54, 0], vec![0xff; 300]].concat()), // a long one
            sized(
                &[
                    vec![4, 2, 0],
                    Compact(1_796_734_800_000_u64).encode(),
                    vec![0],
                ]
                .concat(),
            ), // more behind it
        ] {
            assert_eq!(extrinsic(&other), Extrinsic::Bare(None), "{other}");
        }
    }

    #[test]
    fn transactions_of_both_versions_are_counted_and_inherents_not() {
        let body = [
            timestamp(4, 2, 1_796_734_800_000),
            sized(&[vec![4, 54, 0], vec![0xff; 70_000]].concat()), // a parachain's inherent, with a length of four bytes
            sent(0x84, 20),
            sent(0x84, 140),
            sent(0x45, 90),
            sent(0x84, 20_000),
        ];
        let read = read_body(7, body.iter().map(String::as_str));
        assert_eq!(
            (read.transactions, read.at.map(|t| t.as_second())),
            (4, Some(1_796_734_800))
        );
    }

    #[test]
    fn broken_bytes_are_passed_over() {
        for text in ["", "0x", "0x28", "zz", "0x0", "0xzz"] {
            assert_eq!(extrinsic(text), Extrinsic::Unreadable, "{text}");
        }
        let read = read_body(7, ["0x", "0x0404", "0x080402"].into_iter());
        assert_eq!((read.transactions, read.at), (0, None));
    }

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        assert_eq!(
            host("wss://rpc.example.org/v1/abcdef"),
            "wss://rpc.example.org"
        );
        assert_eq!(host("wss://me:word@rpc.example.org"), "a node");
    }

    #[test]
    fn the_next_guess_goes_by_the_pace_and_a_little_further() {
        let at = |s: i64| Timestamp::from_second(1_800_000_000 + s).unwrap();
        // One block in 2 s; 1,000 s are to be reached.
        assert_eq!(further(1_000, at(0), 900, at(-200), at(-1_000)), 474);
        assert_eq!(
            further(1_000, at(0), 900, at(-200), at(-100_000)),
            0,
            "before the first"
        );
    }
}
