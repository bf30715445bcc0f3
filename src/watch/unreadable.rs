//! Blocks that can't be read. None of them keeps herald from seeing those behind it.
//!
//! A block whose events can't be read is read without them, since its state proves what runs. Where its state can't be
//! read either, the chain's head is read in its place: what the state proves is told in time, and the blocks in between
//! are named as not examined.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{
    domain::chain::block::Block,
    ports::{Chain, ChainError, Head},
};

/// A block so near to the head that is not there is not there yet.
const NOT_YET_WITHIN_BLOCKS: u64 = 16;
/// How often a block is asked for that a node does not give whole, before its events are passed over; and how often one on
/// which the connection breaks, which may be chance.
const TRIES_OF_UNREADABLE_BLOCK: u32 = 3;
const TRIES_OF_BROKEN_CONNECTION: u32 = 5;

/// So many more tries a connection that breaks has before the head is read in the block's place.
const MORE_TRIES_OF_BROKEN_CONNECTION: i32 = 5;

/// How often in a row each chain was asked for a block that could not be read. A block that was passed does not end the
/// row, so that the ones behind it cost no further tries.
#[derive(Debug, Default)]
pub struct UnreadableBlocks(Mutex<BTreeMap<String, u32>>);

impl UnreadableBlocks {
    /// Makes the best of what came of asking for block `number`: the block; or, once it was asked for often enough, the
    /// block without its events, or the head without its events. `false` says that events are missing.
    pub async fn pass(
        &self,
        name: &str,
        chain: &dyn Chain,
        head: &Head,
        (number, read): (u64, Result<Block, ChainError>),
    ) -> Result<(Block, bool), ChainError> {
        let error = match read {
            Ok(block) => {
                self.end(name);
                return Ok((block, true));
            }
            // So near to the head, a block that is not there is not there yet: a node behind the address is behind.
            Err(ChainError::Absent(reason))
                if head.number.saturating_sub(number) < NOT_YET_WITHIN_BLOCKS =>
            {
                return Err(ChainError::NotYet(reason));
            }
            Err(ChainError::Absent(reason)) => return Err(ChainError::Gone(reason)),
            Err(error) => error,
        };
        let Some(tries_left) = self.tries_left(name, &error) else {
            return Err(error);
        };
        if tries_left > 0 {
            return Err(error);
        }
        match chain.state(number).await {
            Ok(block) => Ok((block, false)),
            Err(failed) if gives_up(&failed, tries_left) => chain
                .state(head.number)
                .await
                .map(|block| (block, false))
                .map_err(|_| error),
            Err(_) => Err(error),
        }
    }

    /// Takes note that a block was read whole.
    pub fn end(&self, name: &str) {
        self.0.lock().remove(name);
    }

    /// Takes note that a block could not be read, and says how often it is still to be asked for; `None` where the block is
    /// not at fault.
    pub fn tries_left(&self, name: &str, error: &ChainError) -> Option<i32> {
        let most = match error {
            ChainError::Answer(_) | ChainError::Undecodable(_) => TRIES_OF_UNREADABLE_BLOCK,
            ChainError::Unreachable(_) => TRIES_OF_BROKEN_CONNECTION,
            _ => return None,
        };
        let mut unreadable = self.0.lock();
        let tries = unreadable.entry(name.to_owned()).or_default();
        *tries += 1;
        Some(most.cast_signed() - tries.cast_signed())
    }
}

/// Says that a block's state was asked for often enough: once more than its events, and more often where the connection
/// breaks, which says nothing of the block.
pub fn gives_up(error: &ChainError, tries_left: i32) -> bool {
    match error {
        ChainError::Answer(_) | ChainError::Undecodable(_) => tries_left < 0,
        ChainError::Unreachable(_) => tries_left <= -MORE_TRIES_OF_BROKEN_CONNECTION,
        _ => false,
    }
}
