//! Reads from a node what the core wants to know of a block.
//!
//! A block takes three requests: its version, its header, and one for all entries of its state. A new code that waits
//! for the relay is not asked for: the entry is the code itself, and events tell of it.

use futures::future::try_join_all;
use jiff::Timestamp;
use subxt::{
    OnlineClientAtBlock, SubstrateConfig,
    config::{
        Hasher,
        substrate::{DigestItem, SubstrateHeader},
    },
    error::StorageError,
    ext::{
        codec::{Compact, Decode, DecodeAll},
        scale_value::Value,
    },
    utils::H256,
};

use super::{decode, endpoint::EndpointClient, error::answer};
use crate::{
    domain::{
        chain::{block::Block, memory::enactment_name},
        hex,
    },
    ports::ChainError,
};

/// The client at one block.
pub(super) type At = OnlineClientAtBlock<SubstrateConfig>;

/// Reads what the core wants to know of a block. Without `events`, it is what the state and the header tell.
pub async fn read(
    endpoint: &EndpointClient,
    at: &At,
    parent: Option<&At>,
    events: bool,
) -> Result<Block, ChainError> {
    let has = |pallet: &str, entry: &str| at.storage().entry((pallet, entry)).is_ok();
    // Older parachains keep it in a pallet of their own.
    let place = if has("System", "AuthorizedUpgrade") {
        "System"
    } else {
        "ParachainSystem"
    };
    let wanted = [
        ("System", "Events"),
        ("Timestamp", "Now"),
        ("System", "LastRuntimeUpgrade"),
        (place, "AuthorizedUpgrade"),
        ("MultiBlockMigrations", "Cursor"),
        ("Paras", "UpcomingUpgrades"),
        ("ParachainSystem", "LastRelayChainBlockNumber"),
    ];
    let header = async { answer(at.block_header()).await };
    let wanted = wanted.map(|entry| Some(entry).filter(|e| events || e.1 != "Events"));
    let (header, values) = tokio::try_join!(header, values(endpoint, at, wanted))?;
    let [
        events,
        time,
        last_upgrade,
        authorized,
        cursor,
        upcoming,
        relay_number,
    ] = values;
    let header = Digests::read(&header);
    let relay_number = header
        .relay_number
        .or_else(|| decoded::<u32>(relay_number).map(u64::from));
    // The events of the block that applies new code were encoded by the old runtime, while the state
    // behind it answers with the new one already: decode them as their parent would.
    let writer = parent
        .filter(|p| p.spec_version() != at.spec_version())
        .unwrap_or(at);
    let events = decode::events(
        &writer.events().from_bytes(events.unwrap_or_default()),
        writer.metadata_ref(),
    )?;
    let mut block = Block {
        number: at.block_number(),
        hash: format!("{:?}", at.block_hash()),
        parent: format!("{:?}", header.parent),
        time: decoded::<u64>(time)
            .and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()),
        spec_version: at.spec_version(),
        transaction_version: at.transaction_version(),
        proven_version: decoded::<Compact<u32>>(last_upgrade).map(|v| v.0),
        authorized: authorized.and_then(|b| b.get(..32).map(hex::encode)),
        migrating: cursor.is_some(),
        slot: header.slot,
        relay_number,
        upcoming: upcoming_upgrades(at, upcoming.as_deref(), header.scheduled),
        enactments: Vec::new(),
        events,
    };
    for referendum in block.passed() {
        if let Some(when) = enactment(at, referendum).await? {
            block.enactments.push((referendum, when));
        }
    }
    Ok(block)
}

/// The block for which the scheduler has the call of a referendum that passed; none before that, and
/// none once it is dispatched.
pub async fn enactment(at: &At, referendum: u32) -> Result<Option<u64>, ChainError> {
    let Ok(entry) = at.storage().entry(("Scheduler", "Lookup")) else {
        return Ok(None);
    };
    let Ok(key) = entry.fetch_key(vec![Value::from_bytes(enactment_name(referendum))]) else {
        return Ok(None);
    };
    // The block, and the call's place in its agenda.
    Ok(raw(at, key)
        .await?
        .and_then(|b| <(u32, u32)>::decode_all(&mut &b[..]).ok())
        .map(|(when, _)| u64::from(when)))
}

fn decoded<T: Decode>(bytes: Option<Vec<u8>>) -> Option<T> {
    bytes.and_then(|b| T::decode(&mut &b[..]).ok())
}

/// The values of plain entries; one that the runtime does not have is not asked for. One request asks for all, and where
/// the node does not answer it, each has its own.
async fn values<const N: usize>(
    endpoint: &EndpointClient,
    at: &At,
    entries: [Option<(&str, &str)>; N],
) -> Result<[Option<Vec<u8>>; N], ChainError> {
    let entries = entries.map(|entry| Some(at.storage().entry(entry?).ok()?.key_prefix().to_vec()));
    let keys: Vec<Vec<u8>> = entries.iter().flatten().cloned().collect();
    let written: Vec<String> = keys.iter().map(|key| hex::encode(key)).collect();
    let found = match answer(endpoint.values(&written, at.block_hash())).await {
        Ok(found) => found,
        Err(error @ (ChainError::Gone(_) | ChainError::Absent(_))) => return Err(error),
        Err(_) => try_join_all(keys.into_iter().map(|key| raw(at, key))).await?,
    };
    let mut found = found.into_iter();
    Ok(entries.map(|key| key.and_then(|_| found.next().flatten())))
}

async fn raw(at: &At, key: Vec<u8>) -> Result<Option<Vec<u8>>, ChainError> {
    answer(async {
        match at.storage().fetch_raw(key).await {
            Err(StorageError::NoValueFound) => Ok(None),
            other => other.map(Some),
        }
    })
    .await
}

/// The blocks at which the new code of parachains goes ahead: those in the relay's list, from the check
/// until then, and those that the header tells. The header alone tells of an upgrade that root forces, which waits for
/// no go-ahead and is in another list.
fn upcoming_upgrades(
    at: &At,
    listed: Option<&[u8]>,
    scheduled: Vec<(u32, u64)>,
) -> Vec<(u32, u64)> {
    let listed = listed.map_or(Ok(Vec::new()), |mut bytes| {
        Vec::<(u32, u32)>::decode_all(&mut bytes)
    });
    let mut upcoming: Vec<(u32, u64)> = match listed {
        Ok(listed) => listed
            .into_iter()
            .map(|(para, block)| (para, u64::from(block)))
            .collect(),
        Err(error) => {
            tracing::warn!(
                block = at.block_number(),
                "Paras.UpcomingUpgrades can't be read: {error}"
            );
            Vec::new()
        }
    };
    upcoming.extend(scheduled);
    upcoming.sort_unstable();
    upcoming.dedup();
    upcoming
}

// The engines that write into a header: authors claim their slot, then cumulus and the relay's runtime.
const AURA_ENGINE_ID: [u8; 4] = *b"aura";
const BABE_ENGINE_ID: [u8; 4] = *b"BABE";
const RELAY_PARENT_ENGINE_ID: [u8; 4] = *b"RPSR";
const POLKADOT_ENGINE_ID: [u8; 4] = *b"POL1";

/// The part of a header that the core wants to know.
#[derive(Debug, Default, PartialEq)]
struct Digests {
    parent: H256,
    slot: Option<u64>,
    relay_number: Option<u64>,
    /// Code upgrades of parachains that were scheduled in this block.
    scheduled: Vec<(u32, u64)>,
}

impl Digests {
    fn read(header: &SubstrateHeader<H256>) -> Self {
        let mut told = Self {
            parent: header.parent_hash,
            ..Self::default()
        };
        for item in &header.digest.logs {
            match item {
                DigestItem::PreRuntime(AURA_ENGINE_ID, data) => {
                    told.slot = u64::decode(&mut &data[..]).ok();
                }
                // All three ways to claim a slot begin with the authority and the slot.
                DigestItem::PreRuntime(BABE_ENGINE_ID, data) => {
                    told.slot = <(u8, u32, u64)>::decode(&mut &data[..])
                        .ok()
                        .map(|(_, _, slot)| slot);
                }
                DigestItem::Consensus(RELAY_PARENT_ENGINE_ID, data) => {
                    told.relay_number = <(H256, Compact<u32>)>::decode(&mut &data[..])
                        .ok()
                        .map(|(_, number)| u64::from(number.0));
                }
                DigestItem::Consensus(POLKADOT_ENGINE_ID, data) => {
                    // 2: a parachain, its code's hash and the block.
                    if let Ok((2, para, _, block)) = <(u8, u32, H256, u32)>::decode(&mut &data[..])
                    {
                        told.scheduled.push((para, u64::from(block)));
                    }
                }
                _ => {}
            }
        }
        told
    }
}

/// The hash that authorizations name a code by.
pub fn blake2(bytes: &[u8]) -> String {
    format!("{:?}", subxt::config::substrate::BlakeTwo256.hash(bytes))
}

#[cfg(test)]
mod tests {
    use subxt::{config::substrate::Digest, ext::codec::Encode};

    use super::*;

    fn told(logs: Vec<DigestItem>) -> Digests {
        let zero = H256::zero();
        Digests::read(&SubstrateHeader {
            parent_hash: zero,
            number: 7,
            state_root: zero,
            extrinsics_root: zero,
            digest: Digest { logs },
        })
    }

    #[test]
    fn a_header_tells_slot_and_relay_block() {
        // Of real blocks: Paseo's BABE claim, cut off behind the slot, and Aura's of a parachain on it.
        let babe = DigestItem::PreRuntime(
            *b"BABE",
            hex::decode("0x0302020000d652e31000000000").unwrap(),
        );
        assert_eq!(told(vec![babe]).slot, Some(283_333_334));
        let aura = DigestItem::PreRuntime(*b"aura", hex::decode("0x6ba9710800000000").unwrap());
        let relay =
            DigestItem::Consensus(*b"RPSR", (H256::zero(), Compact(8_000_001_u32)).encode());
        let told = told(vec![aura, relay]);
        assert_eq!(
            (told.slot, told.relay_number),
            (Some(141_666_667), Some(8_000_001))
        );
    }

    #[test]
    fn a_relays_header_tells_what_it_schedules() {
        let scheduled =
            DigestItem::Consensus(*b"POL1", (2_u8, 1004_u32, H256::zero(), 77_u32).encode());
        let current = DigestItem::Consensus(*b"POL1", (1_u8, 1004_u32, H256::zero()).encode());
        assert_eq!(told(vec![current, scheduled]).scheduled, [(1004, 77)]);
        assert_eq!(told(vec![DigestItem::Other(vec![1])]), Digests::default());
    }
}
