//! Reads what an upgrade has set in motion: a relay's pending configurations, new calls of the scheduler, and when the next
//! session and era begin. It is read once an upgrade, by at most ten requests.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value as Json;
use subxt::{
    Metadata,
    ext::{codec::Decode, scale_value::scale::decode_as_type},
    metadata::StorageEntryMetadata,
    rpcs::rpc_params,
    utils::H256,
};

use super::{
    decode,
    endpoint::EndpointClient,
    error::answer,
    read::{self, At, SESSION_KEY, TIME_KEY, decoded},
};
use crate::{
    domain::{
        chain::pending::{ConfigurationChange, PendingChanges, PendingConfiguration, SessionClock},
        hex,
    },
    ports::ChainError,
};

/// The entries of the state, in the order in which they are taken apart.
const KEYS: [&str; 8] = [
    TIME_KEY,
    SESSION_KEY,
    // Babe.EpochIndex, GenesisSlot, CurrentSlot
    "0x1cb6f36e027abb2091cfb5110ab5087f38316cbf8fa0da822a20ac1c55bf1be3",
    "0x1cb6f36e027abb2091cfb5110ab5087f678711d15ebbceba5cd0cea158e6675a",
    "0x1cb6f36e027abb2091cfb5110ab5087f06155b3cd9a8c9e5e9a23fd5dc13a5ed",
    // Staking.BondedEras
    "0x5f3e4907f716ac89b6347d15ececedcaea07de2b8f010516dca3f7ef52f7ac5a",
    // Configuration.ActiveConfig, PendingConfigs
    "0x06de3d8a54d27e44a9d5ce189618f22db4b49d95320d9021994c850f25b8e385",
    "0x06de3d8a54d27e44a9d5ce189618f22d53b4123b2e186e07fb7bad5dda5f55c0",
];
/// Scheduler.Agenda; the block of an entry stands at the end of its key.
const AGENDA_PREFIX: &str = "0x3db7a24cfdc9de785974746c14a99df91643f5419718219c95679ddd2d825574";
/// The most entries of the scheduler that are looked at.
const MAX_AGENDA: u32 = 1000;

/// A block, for which metadata is only needed where something is pending.
pub struct BlockToRead<'a> {
    pub hash: H256,
    pub at: Result<&'a At, ChainError>,
    /// The block before it, where the node still has it.
    pub parent: Option<&'a At>,
}

/// Reads what was to come after a block.
pub async fn read(
    endpoint: &EndpointClient,
    block: BlockToRead<'_>,
) -> Result<PendingChanges, ChainError> {
    let values = read::values(endpoint, block.hash, &KEYS, None).await?;
    let mut values = values.into_iter();
    let mut next = || values.next().flatten();
    let (time, session) = (next(), next());
    let slots = [next(), next(), next()];
    let (bonded, active, pending) = (next(), next(), next());
    // An empty list is a zero.
    let pending = pending.filter(|pending| pending.as_slice() != [0]);
    let at = match block.at {
        Ok(at) => at,
        Err(_) if pending.is_none() => return Ok(PendingChanges::default()),
        Err(error) => return Err(error),
    };
    let metadata = at.metadata_ref();
    let sessions = session_clock(metadata, time, session, slots);
    Ok(PendingChanges {
        sessions,
        next_era: sessions.and_then(|clock| clock.begins(next_era(metadata, bonded)?)),
        configurations: configurations(metadata, active, pending)?,
        calls: new_calls(endpoint, at, block.parent).await,
    })
}

/// The sessions by the clock of BABE, each of which is an epoch long.
fn session_clock(
    metadata: &Metadata,
    time: Option<Vec<u8>>,
    session: Option<Vec<u8>>,
    [epoch, genesis_slot, slot]: [Option<Vec<u8>>; 3],
) -> Option<SessionClock> {
    let epoch_slots: u64 = constant(metadata, "Babe", "EpochDuration")?;
    let slot_ms: u64 = constant(metadata, "Babe", "ExpectedBlockTime")?;
    // The first epoch and the first session are not stored.
    let epoch = decoded::<u64>(epoch).unwrap_or_default();
    let genesis_slot = decoded::<u64>(genesis_slot)?;
    let begun_slots = epoch.checked_add(1)?.checked_mul(epoch_slots)?;
    let left_slots = genesis_slot
        .checked_add(begun_slots)?
        .checked_sub(decoded(slot)?)?;
    let next_ms = decoded::<u64>(time)?.checked_add(left_slots.checked_mul(slot_ms)?)?;
    Some(SessionClock {
        current: decoded(session).unwrap_or_default(),
        next: Timestamp::from_millisecond(i64::try_from(next_ms).ok()?).ok()?,
        length: i64::try_from(epoch_slots.checked_mul(slot_ms)? / 1000).ok()?,
    })
}

/// The session with which the next era is to begin.
fn next_era(metadata: &Metadata, bonded: Option<Vec<u8>>) -> Option<u32> {
    let (_, begun) = *decoded::<Vec<(u32, u32)>>(bonded)?.last()?;
    begun.checked_add(constant(metadata, "Staking", "SessionsPerEra")?)
}

fn constant<T: Decode>(metadata: &Metadata, pallet: &str, name: &str) -> Option<T> {
    let constant = metadata.pallet_by_name(pallet)?.constant_by_name(name)?;
    T::decode(&mut constant.value()).ok()
}

/// The pending configurations, each as it differs from the one before.
fn configurations(
    metadata: &Metadata,
    active: Option<Vec<u8>>,
    pending: Option<Vec<u8>>,
) -> Result<Vec<PendingConfiguration>, ChainError> {
    let Some(pending) = pending else {
        return Ok(Vec::new());
    };
    let unreadable =
        || ChainError::Undecodable("Configuration.PendingConfigs can't be read".into());
    let pending = value(metadata, "PendingConfigs", &pending).ok_or_else(unreadable)?;
    let active =
        active.or_else(|| Some(entry(metadata, "ActiveConfig")?.default_value()?.to_vec()));
    let mut before = active
        .and_then(|active| value(metadata, "ActiveConfig", &active))
        .ok_or_else(unreadable)?;
    let mut configurations = Vec::new();
    for listed in entries(pending) {
        let session = listed.get(0).and_then(Json::as_u64);
        let session = session.and_then(|session| u32::try_from(session).ok());
        let (Some(session), Some(configuration)) = (session, listed.get(1)) else {
            return Err(unreadable());
        };
        let changes = ConfigurationChange::between(&before, configuration);
        // One that is as the one before brings nothing.
        if !changes.is_empty() {
            configurations.push(PendingConfiguration { session, changes });
        }
        before = configuration.clone();
    }
    Ok(configurations)
}

/// The entries of a list; a list of one entry is decoded as the entry.
fn entries(list: Json) -> Vec<Json> {
    match list {
        Json::Array(items) if items.first().is_some_and(Json::is_number) => {
            vec![Json::Array(items)]
        }
        Json::Array(items) => items,
        _ => Vec::new(),
    }
}

/// An entry of the relay's configuration pallet.
fn entry<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a StorageEntryMetadata> {
    let storage = metadata.pallet_by_name("Configuration")?.storage()?;
    storage.entry_by_name(name)
}

/// A value of it, as JSON.
fn value(metadata: &Metadata, name: &str, bytes: &[u8]) -> Option<Json> {
    let ty = entry(metadata, name)?.value_ty();
    let value = decode_as_type(&mut &*bytes, ty, metadata.types()).ok()?;
    Some(decode::json_value(&value.remove_context()))
}

/// The blocks for which the scheduler has calls now, and had none before. A parachain's scheduler may count the blocks of
/// its relay, so it is not asked.
async fn new_calls(endpoint: &EndpointClient, at: &At, parent: Option<&At>) -> Vec<u64> {
    let metadata = at.metadata_ref();
    let has = |pallet| metadata.pallet_by_name(pallet).is_some();
    let Some(parent) = parent.filter(|_| has("Scheduler") && !has("ParachainSystem")) else {
        return Vec::new();
    };
    let (now, before) = tokio::join!(
        agenda(endpoint, at.block_hash()),
        agenda(endpoint, parent.block_hash()),
    );
    match (now, before) {
        (Ok(now), Ok(before)) => now.difference(&before).copied().collect(),
        // Nothing waits for these calls, so they are not worth asking again.
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!("the scheduler's calls can't be read: {error}");
            Vec::new()
        }
    }
}

/// The blocks for which the scheduler has calls.
async fn agenda(endpoint: &EndpointClient, at: H256) -> Result<BTreeSet<u64>, ChainError> {
    let params = rpc_params![AGENDA_PREFIX, MAX_AGENDA, None::<String>, at];
    let keys: Vec<String> = answer(endpoint.rpc().request("state_getKeysPaged", params)).await?;
    if keys.len() >= MAX_AGENDA as usize {
        return Err(ChainError::Answer("it has too many".to_owned()));
    }
    let block = |key: &String| {
        let bytes = hex::decode(key)?;
        let block = bytes.last_chunk::<4>()?;
        Some(u64::from(u32::from_le_bytes(*block)))
    };
    Ok(keys.iter().filter_map(block).collect())
}
