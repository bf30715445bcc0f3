//! Events decoded without generated code, as JSON the core can read.

use serde_json::{Map, Value as Json, json};
use subxt::{
    SubstrateConfig,
    events::Events,
    ext::scale_value::{Composite, Primitive, Value, ValueDef},
};

use crate::{
    domain::{block::ChainEvent, hex},
    ports::ChainError,
};

/// Pallets whose events' fields mean something to us; of others the name is enough.
const READ: [&str; 4] = ["System", "Sudo", "ParachainSystem", "MultiBlockMigrations"];

/// Every event of a block, in order. A block whose events can't be decoded is an error: what it
/// would have shown must not be passed over.
pub fn events(events: &Events<SubstrateConfig>) -> Result<Vec<ChainEvent>, ChainError> {
    let mut found = Vec::new();
    for event in events.iter() {
        let event = event.map_err(|e| ChainError::Answer(format!("an event can't be decoded: {e}")))?;
        let fields = if READ.contains(&event.pallet_name()) {
            let fields = event.decode_fields_unchecked_as::<Composite<()>>();
            composite(&fields.map_err(|e| ChainError::Answer(format!("an event can't be decoded: {e}")))?)
        } else {
            Json::Null
        };
        found.push(ChainEvent { pallet: event.pallet_name().to_owned(), name: event.event_name().to_owned(), fields });
    }
    Ok(found)
}

fn composite(value: &Composite<()>) -> Json {
    match value {
        Composite::Named(fields) => Json::Object(fields.iter().map(|(name, v)| (name.clone(), of(v))).collect()),
        Composite::Unnamed(items) => match bytes(items) {
            Some(hex) => Json::String(hex),
            None if items.len() == 1 => items.first().map(of).unwrap_or_default(),
            None => Json::Array(items.iter().map(of).collect()),
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

fn of(value: &Value<()>) -> Json {
    match &value.value {
        ValueDef::Composite(c) => composite(c),
        ValueDef::Variant(v) if v.values.is_empty() && v.name != "Ok" => Json::String(v.name.clone()),
        ValueDef::Variant(v) => Json::Object(Map::from_iter([(v.name.clone(), composite(&v.values))])),
        ValueDef::Primitive(Primitive::Bool(b)) => json!(b),
        ValueDef::Primitive(Primitive::String(s)) => json!(s),
        ValueDef::Primitive(Primitive::Char(c)) => json!(c),
        ValueDef::Primitive(Primitive::U128(n)) => u64::try_from(*n).map_or_else(|_| json!(n.to_string()), |n| json!(n)),
        ValueDef::Primitive(Primitive::I128(n)) => i64::try_from(*n).map_or_else(|_| json!(n.to_string()), |n| json!(n)),
        ValueDef::Primitive(other) => json!(format!("{other:?}")),
        ValueDef::BitSequence(_) => Json::Null,
    }
}
