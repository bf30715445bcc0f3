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
    rpcs::rpc_params,
    utils::H256,
};

use super::{
    decode,
    endpoint::{EndpointClient, Header},
    error::answer,
};
use crate::{
    domain::{
        chain::{block::Block, memory::enactment_name},
        hex,
    },
    ports::ChainError,
};

/// The client at one block.
pub(super) type At = OnlineClientAtBlock<SubstrateConfig>;

/// What the core wants to know of a block's state. A key is made of names, so that it is the same on every chain that has
/// the entry.
const EVENTS_KEY: &str = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7";
const STATE_KEYS: [&str; 9] = [
    TIME_KEY,
    LAST_UPGRADE_KEY,
    // System.AuthorizedUpgrade, and ParachainSystem's where that is the older place
    "0x26aa394eea5630e07c48ae0c9558cef72fa9f1bf25567808771bff091dc89ecd",
    "0x45323df7cc47150b3930e2666b0aa3132fa9f1bf25567808771bff091dc89ecd",
    // MultiBlockMigrations.Cursor
    "0x0b20199ace3564d0964e2c4d4a9ba46987b188618944a73221aaabb35521b0a1",
    // Paras.UpcomingUpgrades
    "0xcd710b30bd2eab0352ddcc26417aa19463c716fb8fff3de61a883bb76adb34a2",
    // ParachainSystem.LastRelayChainBlockNumber
    "0x45323df7cc47150b3930e2666b0aa313a2bca190d36bd834cc73a38fc213ecbd",
    SESSION_KEY,
    ACTIVE_ERA_KEY,
];
/// The place of `ParachainSystem.AuthorizedUpgrade` among the keys.
const OLDER_AUTHORIZED: usize = 3;
/// System.LastRuntimeUpgrade
pub(super) const LAST_UPGRADE_KEY: &str =
    "0x26aa394eea5630e07c48ae0c9558cef7f9cce9c888469bb1a0dceaa129672ef8";

/// Timestamp.Now
pub(super) const TIME_KEY: &str =
    "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";
/// Session.CurrentIndex
pub(super) const SESSION_KEY: &str =
    "0xcec5070d609dd3497f72bde07fc96ba072763800a36a99fdfc7c10f6415f6ee6";
/// Staking.ActiveEra
const ACTIVE_ERA_KEY: &str = "0x5f3e4907f716ac89b6347d15ececedca487df464e44a534ba6b0cbb32407b587";

/// The versions that `Core_version` answers: of the runtime, and of its transactions.
type Versions = (u32, u32);

/// Reads what the core wants to know of a block.
pub async fn read(
    endpoint: &EndpointClient,
    at: &At,
    parent: Option<&At>,
) -> Result<Block, ChainError> {
    let keys: Vec<&str> = STATE_KEYS.into_iter().chain([EVENTS_KEY]).collect();
    let (header, mut values) = tokio::try_join!(
        answer(at.block_header()),
        values(endpoint, at.block_hash(), &keys, Some(at)),
    )?;
    let events = values.pop().flatten();
    // A parachain may have left a value where the entry was before.
    if at.storage().entry(("System", "AuthorizedUpgrade")).is_ok()
        && let Some(older) = values.get_mut(OLDER_AUTHORIZED)
    {
        *older = None;
    }
    let versions = (at.spec_version(), at.transaction_version());
    let mut block = block(at.block_hash(), &header, versions, values);
    // The events of the block that applies new code were encoded by the old runtime, while the state
    // behind it answers with the new one already: decode them as their parent would.
    let writer = parent
        .filter(|p| p.spec_version() != at.spec_version())
        .unwrap_or(at);
    block.events = decode::events(
        &writer.events().from_bytes(events.unwrap_or_default()),
        writer.metadata_ref(),
    )?;
    for referendum in block.passed() {
        if let Some(when) = enactment(at, referendum).await? {
            block.enactments.push((referendum, when));
        }
    }
    Ok(block)
}

/// Reads of a block what its state and its header prove. It needs no metadata, which may be what can't be had.
pub async fn state(
    endpoint: &EndpointClient,
    hash: H256,
    number: u64,
) -> Result<Block, ChainError> {
    let rpc = endpoint.rpc();
    let header = async {
        let header = rpc.request::<Option<Header>>("chain_getHeader", rpc_params![hash]);
        let absent = || ChainError::Absent(format!("block {number} is not there"));
        answer(header).await?.ok_or_else(absent)
    };
    let versions = async {
        let call = rpc.request::<String>("state_call", rpc_params!["Core_version", "0x", hash]);
        let unreadable = || ChainError::Answer("Core_version can't be read".to_owned());
        versions(&answer(call).await?).ok_or_else(unreadable)
    };
    let (header, versions, values) =
        tokio::try_join!(header, versions, values(endpoint, hash, &STATE_KEYS, None))?;
    Ok(Block {
        without_events: true,
        ..block(hash, &header, versions, values)
    })
}

fn versions(answer: &str) -> Option<Versions> {
    type Version = (String, String, u32, u32, u32, Vec<([u8; 8], u32)>);
    let bytes = hex::decode(answer)?;
    let mut rest = bytes.as_slice();
    let (_, _, _, spec_version, _, _) = Version::decode(&mut rest).ok()?;
    // Old runtimes end here.
    Some((spec_version, u32::decode(&mut rest).unwrap_or(0)))
}

/// Makes a block of its header and of the values of [`STATE_KEYS`]; its events are still to come.
fn block(
    hash: H256,
    header: &Header,
    (spec_version, transaction_version): Versions,
    values: Vec<Option<Vec<u8>>>,
) -> Block {
    let number = header.number;
    let header = Digests::read(header);
    let mut values = values.into_iter().map(Option::unwrap_or_default);
    let mut next = || values.next().filter(|bytes| !bytes.is_empty());
    let (time, last_upgrade) = (next(), next());
    let (authorized, older_authorized) = (next(), next());
    let (cursor, upcoming, relay_number) = (next(), next(), next());
    let (session, active_era) = (next(), next());
    Block {
        number,
        hash: format!("{hash:?}"),
        parent: format!("{:?}", header.parent),
        time: decoded::<u64>(time)
            .and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()),
        spec_version,
        transaction_version,
        proven_version: decoded::<Compact<u32>>(last_upgrade).map(|v| v.0),
        authorized: authorized
            .or(older_authorized)
            .and_then(|b| b.get(..32).map(hex::encode)),
        migrating: cursor.is_some(),
        session: decoded(session),
        era: decoded(active_era),
        slot: header.slot,
        relay_number: header
            .relay_number
            .or_else(|| decoded::<u32>(relay_number).map(u64::from)),
        upcoming: upcoming_upgrades(number, upcoming.as_deref(), header.scheduled),
        ..Block::default()
    }
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

/// Decodes the first value of these bytes.
pub(super) fn decoded<T: Decode>(bytes: Option<Vec<u8>>) -> Option<T> {
    bytes.and_then(|b| T::decode(&mut &b[..]).ok())
}

/// The pallets that some runtimes lack, by the beginning of their keys.
const PALLETS: [(&str, &str); 5] = [
    ("0x45323df7cc47150b3930e2666b0aa313", "ParachainSystem"),
    ("0x0b20199ace3564d0964e2c4d4a9ba469", "MultiBlockMigrations"),
    ("0xcd710b30bd2eab0352ddcc26417aa194", "Paras"),
    ("0xcec5070d609dd3497f72bde07fc96ba0", "Session"),
    ("0x5f3e4907f716ac89b6347d15ececedca", "Staking"),
];

/// A runtime that lacks the pallet has no value of it.
fn lacks_pallet(at: &At, key: &str) -> bool {
    let pallet = PALLETS.iter().find(|(prefix, _)| key.starts_with(prefix));
    pallet.is_some_and(|(_, name)| at.metadata_ref().pallet_by_name(name).is_none())
}

/// The values of keys, in their order. One request asks for all, and where the node does not answer it, each that the
/// runtime may have has its own.
pub(super) async fn values(
    endpoint: &EndpointClient,
    hash: H256,
    keys: &[&str],
    at: Option<&At>,
) -> Result<Vec<Option<Vec<u8>>>, ChainError> {
    match answer(endpoint.values(keys, hash)).await {
        Ok(found) => Ok(found),
        Err(error @ (ChainError::Gone(_) | ChainError::Absent(_))) => Err(error),
        Err(_) => {
            let rpc = endpoint.rpc();
            let single = async |key: &&str| {
                if let Some(at) = at {
                    if lacks_pallet(at, key) {
                        return Ok(None);
                    }
                    return raw(at, hex::decode(key).unwrap_or_default()).await;
                }
                let value =
                    rpc.request::<Option<String>>("state_getStorage", rpc_params![key, hash]);
                Ok(answer(value).await?.as_deref().and_then(hex::decode))
            };
            try_join_all(keys.iter().map(single)).await
        }
    }
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
    block: u64,
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
            tracing::warn!(block, "Paras.UpcomingUpgrades can't be read: {error}");
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
