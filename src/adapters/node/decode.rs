//! Events decoded without generated code, as JSON the core can read.

use serde_json::{Map, Value as Json, json};
use subxt::{
    Metadata, SubstrateConfig,
    events::Events,
    ext::scale_value::{Composite, Primitive, Value, ValueDef},
};

use crate::{
    domain::{chain::block::ChainEvent, hex},
    ports::ChainError,
};

/// Says whether an event's fields mean something to us; of others the name is enough.
fn has_relevant_fields(pallet: &str, event: &str) -> bool {
    match pallet {
        "System" | "Sudo" | "ParachainSystem" | "MultiBlockMigrations" | "Referenda" => true,
        "Utility" => matches!(event, "ItemFailed" | "BatchInterrupted"),
        "Paras" => event.starts_with("PvfCheck"),
        "Scheduler" => matches!(
            event,
            "Dispatched" | "CallUnavailable" | "PermanentlyOverweight"
        ),
        "Whitelist" => event == "WhitelistedCallDispatched",
        _ => false,
    }
}

/// Every event of a block, in order, errors by the names `metadata` has for them. A block whose events can't be decoded is
/// an error: what it would have shown is not passed over without a word.
pub fn events(
    events: &Events<SubstrateConfig>,
    metadata: &Metadata,
) -> Result<Vec<ChainEvent>, ChainError> {
    let mut found = Vec::new();
    for event in events.iter() {
        let event = event
            .map_err(|e| ChainError::Undecodable(format!("an event can't be decoded: {e}")))?;
        let is_inclusion =
            (event.pallet_name(), event.event_name()) == ("ParaInclusion", "CandidateIncluded");
        let fields = if is_inclusion {
            included(event.field_bytes())
        } else if has_relevant_fields(event.pallet_name(), event.event_name()) {
            let fields = event.decode_fields_unchecked_as::<Composite<()>>();
            let mut fields =
                composite(&fields.map_err(|e| {
                    ChainError::Undecodable(format!("an event can't be decoded: {e}"))
                })?);
            name_errors(&mut fields, metadata);
            fields
        } else {
            Json::Null
        };
        found.push(ChainEvent {
            pallet: event.pallet_name().to_owned(),
            name: event.event_name().to_owned(),
            fields,
        });
    }
    Ok(found)
}

/// Of a candidate, which has much more, the parachain that it begins with is enough.
fn included(candidate: &[u8]) -> Json {
    let id = candidate.first_chunk::<4>().copied();
    json!({ "para_id": id.map(u32::from_le_bytes) })
}

/// Puts names in the place of dispatch errors: `System.SpecVersionNeedsToIncrease`, `BadOrigin`.
fn name_errors(value: &mut Json, metadata: &Metadata) {
    match value {
        Json::Object(fields) => {
            for (key, field) in fields {
                match error_name(field, metadata) {
                    Some(name) if matches!(key.as_str(), "Err" | "error" | "dispatch_error") => {
                        *field = Json::String(name)
                    }
                    _ => name_errors(field, metadata),
                }
            }
        }
        Json::Array(items) => items
            .iter_mut()
            .for_each(|item| name_errors(item, metadata)),
        _ => {}
    }
}

/// The name of a dispatch error, which is a variant with at most one value.
fn error_name(error: &Json, metadata: &Metadata) -> Option<String> {
    let fields = error.as_object().filter(|fields| fields.len() == 1)?;
    let (kind, inner) = fields.iter().next()?;
    match (kind.as_str(), inner) {
        ("Module", Json::Object(module)) => {
            let pallet = metadata
                .pallet_by_error_index(u8::try_from(module.get("index")?.as_u64()?).ok()?)?;
            // Four bytes of which the first counts; one byte in older runtimes.
            let error = match module.get("error")? {
                Json::String(bytes) => *hex::decode(bytes)?.first()?,
                number => u8::try_from(number.as_u64()?).ok()?,
            };
            Some(format!(
                "{}.{}",
                pallet.name(),
                pallet.error_variant_by_index(error)?.name
            ))
        }
        // Token.FundsUnavailable, Arithmetic.Overflow
        (kind, Json::String(inner)) => Some(format!("{kind}.{inner}")),
        _ => None,
    }
}

fn composite(value: &Composite<()>) -> Json {
    match value {
        Composite::Named(fields) => Json::Object(
            fields
                .iter()
                .map(|(name, v)| (name.clone(), json_value(v)))
                .collect(),
        ),
        Composite::Unnamed(items) => match bytes(items) {
            Some(hex) => Json::String(hex),
            None if items.len() == 1 => items.first().map(json_value).unwrap_or_default(),
            None => Json::Array(items.iter().map(json_value).collect()),
        },
    }
}

/// Four or more small numbers in a row are bytes to us: hashes, keys, error codes.
fn bytes(items: &[Value<()>]) -> Option<String> {
    let byte = |v: &Value<()>| match &v.value {
        ValueDef::Primitive(Primitive::U128(n)) => u8::try_from(*n).ok(),
        _ => None,
    };
    let all: Option<Vec<u8>> = items.iter().map(byte).collect();
    all.filter(|b| b.len() >= 4).map(|b| hex::encode(&b))
}

pub(super) fn json_value(value: &Value<()>) -> Json {
    match &value.value {
        ValueDef::Composite(c) => composite(c),
        ValueDef::Variant(v) if v.values.is_empty() && v.name != "Ok" => {
            Json::String(v.name.clone())
        }
        ValueDef::Variant(v) => {
            Json::Object(Map::from_iter([(v.name.clone(), composite(&v.values))]))
        }
        ValueDef::Primitive(Primitive::Bool(b)) => json!(b),
        ValueDef::Primitive(Primitive::String(s)) => json!(s),
        ValueDef::Primitive(Primitive::Char(c)) => json!(c),
        ValueDef::Primitive(Primitive::U128(n)) => {
            u64::try_from(*n).map_or_else(|_| json!(n.to_string()), |n| json!(n))
        }
        ValueDef::Primitive(Primitive::I128(n)) => {
            i64::try_from(*n).map_or_else(|_| json!(n.to_string()), |n| json!(n))
        }
        ValueDef::Primitive(other) => json!(format!("{other:?}")),
        // 0 and 1, the first bit first.
        ValueDef::BitSequence(bits) => {
            let digits = bits.iter().map(|bit| if bit { '1' } else { '0' });
            Json::String(digits.collect())
        }
    }
}
