//! Other means to the answer of a method that an endpoint does not serve.

use serde_json::{Value, json, value::RawValue};
use subxt::{
    ext::codec::{Decode, Encode},
    rpcs::Error,
};

use super::requests::{BLOCK_HASH, FINALIZED_HEAD, HEADER};
use crate::domain::hex;

/// A node that has all of these is read by them. They work behind a load balancer, cost the fewest requests, and need no
/// subscription that a node may end or refuse; the newer methods are for nodes that lack one of these.
const OLDER_METHODS: [&str; 5] = [
    BLOCK_HASH,
    FINALIZED_HEAD,
    HEADER,
    "state_call",
    "state_getStorage",
];

/// Other means to the answer of a method.
pub(super) enum OtherMeans {
    /// The list of methods: a node that gives none is taken to have the older ones.
    NoMethods,
    FirstHeadOfSubscription,
    HeaderOfBlock(Option<Value>),
    GenesisOfSpecification,
    ParentOf(u64),
    RuntimeVersion(Value),
    /// The runtime's metadata, as a function that is called by a version of it answers, or as the plain one does.
    Metadata {
        at: Value,
        with_version: bool,
    },
    Query {
        key: String,
        at: Value,
    },
}

impl OtherMeans {
    pub fn of(method: &str, params: Option<&RawValue>) -> Option<Self> {
        let params: Vec<Value> = params
            .and_then(|params| serde_json::from_str(params.get()).ok())
            .unwrap_or_default();
        let first = params.first();
        Some(match method {
            "rpc_methods" => Self::NoMethods,
            FINALIZED_HEAD => Self::FirstHeadOfSubscription,
            HEADER => Self::HeaderOfBlock(first.cloned()),
            BLOCK_HASH => match first?.as_u64()? {
                0 => Self::GenesisOfSpecification,
                number => Self::ParentOf(number),
            },
            "state_call" => match first?.as_str()? {
                "Core_version" => Self::RuntimeVersion(params.get(2)?.clone()),
                function @ ("Metadata_metadata" | "Metadata_metadata_at_version") => {
                    Self::Metadata {
                        at: params.get(2)?.clone(),
                        with_version: function != "Metadata_metadata",
                    }
                }
                _ => return None,
            },
            "state_getStorage" => Self::Query {
                key: first?.as_str()?.to_owned(),
                at: params.get(1)?.clone(),
            },
            _ => return None,
        })
    }
}

pub(super) fn has_older_methods(answer: &RawValue) -> bool {
    let methods: Value = serde_json::from_str(answer.get()).unwrap_or_default();
    let methods = methods.get("methods").and_then(Value::as_array);
    methods.is_some_and(|methods| OLDER_METHODS.iter().all(|m| methods.contains(&json!(m))))
}

/// The newest version of metadata that subxt reads.
const NEWEST_METADATA: u32 = 16;

/// Leaves out the versions of metadata that are not read, since the newest one is asked for.
pub(super) fn readable_versions(answer: Box<RawValue>) -> Result<Box<RawValue>, Error> {
    let text: Option<String> = serde_json::from_str(answer.get()).ok();
    let bytes = text.as_deref().and_then(hex::decode);
    let versions = bytes.and_then(|bytes| Vec::<u32>::decode(&mut &bytes[..]).ok());
    let Some(mut versions) = versions else {
        return Ok(answer);
    };
    versions.retain(|version| *version <= NEWEST_METADATA);
    let text = json!(hex::encode(&versions.encode())).to_string();
    RawValue::from_string(text).map_err(Error::Serialization)
}

/// Reads the answer of a query for several keys; nothing if it is not one.
pub(super) fn changes(answer: &RawValue, keys: &[&str]) -> Option<Vec<Option<Vec<u8>>>> {
    let sets: Value = serde_json::from_str(answer.get()).ok()?;
    let changes = sets.get(0)?.get("changes")?.as_array()?;
    let value = |key: &&str| {
        let change = changes
            .iter()
            .find(|change| change.get(0) == Some(&json!(key)))?;
        match change.get(1)? {
            Value::Null => Some(None),
            value => Some(Some(hex::decode(value.as_str()?)?)),
        }
    };
    keys.iter().map(value).collect()
}

/// The runtime's version as `Core_version` answers it, of the JSON that `state_getRuntimeVersion` answers.
pub(super) fn core_version(version: &Value) -> Option<Value> {
    let text = |name: &str| version.get(name)?.as_str().map(str::to_owned);
    let number = |name: &str| u32::try_from(version.get(name)?.as_u64()?).ok();
    let apis: Vec<([u8; 8], u32)> = Vec::new();
    let bytes = (
        text("specName").unwrap_or_default(),
        text("implName").unwrap_or_default(),
        number("authoringVersion").unwrap_or_default(),
        number("specVersion")?,
        number("implVersion").unwrap_or_default(),
        apis,
        number("transactionVersion").unwrap_or_default(),
    )
        .encode();
    Some(json!(hex::encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn values_stand_in_the_order_of_their_keys_and_a_query_without_one_is_no_answer() {
        let keys = ["0x01", "0x02"];
        let answer = r#"[{"block":"0xab","changes":[["0x02",null],["0x01","0x0a0b"]]}]"#;
        let values = vec![Some(vec![10, 11]), None];
        assert_eq!(changes(&raw(answer), &keys), Some(values));
        for answer in [
            "[]",
            "{}",
            r#"[{"changes":[["0x01","0x0a"]]}]"#,
            r#"[{"changes":[["0x01",5],["0x02",null]]}]"#,
        ] {
            assert_eq!(changes(&raw(answer), &keys), None, "{answer}");
        }
    }

    #[test]
    fn the_newer_methods_are_for_nodes_that_lack_an_older_one() {
        let listed = |leave_out: &str| {
            let methods: Vec<&str> = OLDER_METHODS
                .into_iter()
                .chain(["chainHead_v1_follow"])
                .filter(|m| *m != leave_out)
                .collect();
            raw(&json!({ "methods": methods }).to_string())
        };
        assert!(has_older_methods(&listed("")));
        assert!(!has_older_methods(&listed("state_call")));
        assert!(!has_older_methods(&raw("{}")));
    }
}
