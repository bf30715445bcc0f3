//! What the core wants to know of a block, asked of a node.

use jiff::Timestamp;
use subxt::{
    config::Hasher,
    error::StorageError,
    ext::codec::{Compact, Decode},
};

use super::{
    connection::{At, answer},
    decode,
};
use crate::{
    domain::{block::Block, hex},
    ports::ChainError,
};

/// Reads what the core wants to know of a block; the values are asked for side by side.
pub async fn read(at: &At, parent: Option<&At>) -> Result<Block, ChainError> {
    let value = |pallet: &'static str, entry: &'static str| async move {
        // What the runtime does not have is not asked for.
        let Ok(entry) = at.storage().entry((pallet, entry)) else { return Ok(None) };
        answer(async {
            match at.storage().fetch_raw(entry.key_prefix().to_vec()).await {
                Err(StorageError::NoValueFound) => Ok(None),
                other => other.map(Some),
            }
        })
        .await
    };
    let (events, time, last_upgrade, authorized, cursor) = tokio::try_join!(
        value("System", "Events"),
        value("Timestamp", "Now"),
        value("System", "LastRuntimeUpgrade"),
        value("System", "AuthorizedUpgrade"),
        value("MultiBlockMigrations", "Cursor"),
    )?;
    // The events of the block that applies new code were encoded by the old runtime, while the state
    // behind it answers with the new one already: decode them as their parent would.
    let writer = parent.filter(|p| p.spec_version() != at.spec_version()).unwrap_or(at);
    let events = decode::events(&writer.events().from_bytes(events.unwrap_or_default()))?;
    Ok(Block {
        number: at.block_number(),
        hash: format!("{:?}", at.block_hash()),
        parent: String::new(),
        time: time.and_then(|b| u64::decode(&mut &b[..]).ok()).and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()),
        spec_version: at.spec_version(),
        transaction_version: at.transaction_version(),
        proven_version: last_upgrade.and_then(|b| Compact::<u32>::decode(&mut &b[..]).ok()).map(|v| v.0),
        authorized: authorized.and_then(|b| b.get(..32).map(hex::encode)),
        migrating: cursor.is_some(),
        events,
        ..Block::default()
    })
}

/// The hash that authorizations name a code by.
pub fn blake2(bytes: &[u8]) -> String {
    format!("{:?}", subxt::config::substrate::BlakeTwo256.hash(bytes))
}
