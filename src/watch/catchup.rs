//! Catching up: the choice of the blocks to read after an absence.
//!
//! A short gap is read whole. In a long one the versions are compared by halving, so that the calls
//! grow with the logarithm of the blocks missed: what is read then is each block that changed the
//! version and the one before it, whose events tell how. A node that has pruned the older part is
//! read from the oldest block it still has.

use std::ops::RangeInclusive;

use crate::{
    domain::chain::memory::Memory,
    ports::{Chain, ChainError},
};

/// Gaps of up to so many blocks of six seconds are read whole; of longer ones the events in between are not examined.
pub const MAX_GAP_READ_WHOLE_BLOCKS: u64 = 5_000;
/// The most blocks that are read whole, however fast the chain is.
const MAX_BLOCKS_READ_WHOLE: u64 = 50_000;
/// A gap so short that nothing is asked beforehand.
const MAX_GAP_UNCHECKED_BLOCKS: u64 = 16;

/// The blocks to read between what is remembered and `head`, in order.
pub async fn route(
    chain: &dyn Chain,
    memory: &Memory,
    head: u64,
) -> Result<Vec<RangeInclusive<u64>>, ChainError> {
    let next = memory.number + 1;
    if head.saturating_sub(memory.number) <= MAX_GAP_UNCHECKED_BLOCKS {
        return Ok(vec![next..=head]);
    }
    checked_route(chain, memory, head).await
}

/// The route to read where the node isn't trusted to have the blocks.
pub async fn checked_route(
    chain: &dyn Chain,
    memory: &Memory,
    head: u64,
) -> Result<Vec<RangeInclusive<u64>>, ChainError> {
    let (start, low) = oldest(chain, memory.number + 1, head).await?;
    let gap = head.saturating_sub(start);
    let time = memory.pace.stretch().in_six_seconds(gap);
    if time <= MAX_GAP_READ_WHOLE_BLOCKS && gap <= MAX_BLOCKS_READ_WHOLE {
        return Ok(vec![start..=head]);
    }
    let high = chain.version(head).await?;
    let mut ranges = Vec::new();
    // The block behind the remembered one has nothing of its own to tell, unless it changed the version. Where a
    // part is pruned, the oldest block left shows what came of it.
    if start > memory.number + 1 || low != memory.running {
        ranges.push(start..=start);
    }
    for changed in changes(chain, (start, low), (head, high)).await? {
        ranges.push((changed - 1).max(start)..=changed);
    }
    ranges.push(head..=head);
    Ok(merged(ranges))
}

/// The first block from `low` on whose state the node has. What a node has pruned is the older part.
pub async fn oldest_readable(chain: &dyn Chain, low: u64, high: u64) -> Result<u64, ChainError> {
    oldest(chain, low, high).await.map(|(number, _)| number)
}

/// The first block that the node has, with the version there.
async fn oldest(chain: &dyn Chain, mut low: u64, mut high: u64) -> Result<(u64, u32), ChainError> {
    match chain.version(low).await {
        Ok(version) => return Ok((low, version)),
        Err(ChainError::Gone(_) | ChainError::Absent(_)) => low += 1,
        Err(error) => return Err(error),
    }
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        match chain.version(middle).await {
            Ok(version) => (high, found) = (middle, Some(version)),
            Err(ChainError::Gone(_) | ChainError::Absent(_)) => low = middle + 1,
            Err(error) => return Err(error),
        }
    }
    match found {
        Some(version) => Ok((high, version)),
        None => Ok((high, chain.version(high).await?)),
    }
}

/// The blocks at which the version first differs from the block before, lowest first.
async fn changes(
    chain: &dyn Chain,
    from: (u64, u32),
    to: (u64, u32),
) -> Result<Vec<u64>, ChainError> {
    let mut found = Vec::new();
    let mut open = vec![(from, to)];
    // The lower half is always looked at first, so the found ones are in order.
    while let Some(((low, version_low), (high, version_high))) = open.pop() {
        if version_low == version_high {
            continue;
        }
        if high - low == 1 {
            found.push(high);
            continue;
        }
        let middle = low + (high - low) / 2;
        let version = chain.version(middle).await?;
        open.push(((middle, version), (high, version_high)));
        open.push(((low, version_low), (middle, version)));
    }
    Ok(found)
}

/// Neighbours and overlaps become one.
fn merged(ranges: Vec<RangeInclusive<u64>>) -> Vec<RangeInclusive<u64>> {
    let mut out: Vec<RangeInclusive<u64>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if *range.start() <= last.end() + 1 => {
                *last = *last.start()..=*range.end().max(last.end())
            }
            _ => out.push(range),
        }
    }
    out
}
