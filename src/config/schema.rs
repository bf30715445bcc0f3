//! A JSON Schema of every file, made from the shapes that read it: editors complete and underline with it.
//!
//! A schema tells shape: keys, types, lengths and patterns. What only meaning can tell (is there such a channel?)
//! is left to `herald check`; a `format` names the kind of such a text.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::Value;

use super::{checklist, deployment, help, locale, people, plan, upgrade};

/// Every file's schema by its name: `plan` for plan.yaml, `upgrade` for each of upgrades/, `words` for templates/words/.
pub fn all() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("herald", schema_for!(deployment::Raw)),
        ("plan", schema_for!(plan::Raw)),
        ("upgrade", schema_for!(upgrade::Raw)),
        ("people", schema_for!(people::Raw)),
        ("help", schema_for!(help::Help)),
        ("checklist", schema_for!(checklist::Raw)),
        ("words", schema_for!(locale::Raw)),
    ])
    .into_iter()
    .map(|(name, schema)| (name, titled(name, schema)))
    .collect()
}

fn titled(name: &str, mut schema: Schema) -> Value {
    schema.insert(
        "title".to_owned(),
        Value::String(format!("upgrade-herald: {name}")),
    );
    schema.to_value()
}

/// The path of a value that nobody wrote (`title:`, `title: ~`) where the shape asks for one. YAML's reader would make
/// the text "null" of it.
pub(super) fn left_empty<T: JsonSchema>(yaml: &str) -> Option<Vec<String>> {
    let value: Value = serde_yaml::from_str(yaml).ok()?;
    if !holds_null(&value) {
        return None;
    }
    let root = schema_for!(T).to_value();
    let mut path = Vec::new();
    unwritten(&root, &root, &value, &mut path).then_some(path)
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().any(holds_null),
        Value::Object(map) => map.values().any(holds_null),
        _ => false,
    }
}

/// Leaves the path at the first that is empty and must not be.
fn unwritten(root: &Value, schema: &Value, value: &Value, path: &mut Vec<String>) -> bool {
    let (schema, nullable) = resolved(root, schema);
    let mut below = |key: String, schema: Option<&Value>, value: &Value| {
        path.push(key);
        let found = schema.is_some_and(|schema| unwritten(root, schema, value, path));
        if !found {
            path.pop();
        }
        found
    };
    match value {
        Value::Null => !nullable,
        Value::Array(list) => list
            .iter()
            .enumerate()
            .any(|(i, value)| below(i.to_string(), schema.get("items"), value)),
        Value::Object(map) => {
            let of = |key: &String| {
                schema
                    .get("properties")
                    .and_then(|p| p.get(key))
                    .or_else(|| schema.get("additionalProperties"))
            };
            map.iter()
                .any(|(key, value)| below(key.clone(), of(key), value))
        }
        _ => false,
    }
}

/// The schema behind references, and whether nothing will do as well.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
    let reference = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix("#/$defs/"));
    if let Some(found) = reference.and_then(|name| root.get("$defs")?.get(name)) {
        return (found, false);
    }
    let is_null = |s: &Value| {
        s.get("type").is_some_and(|t| {
            t == "null" || t.as_array().is_some_and(|t| t.iter().any(|t| t == "null"))
        })
    };
    match schema.get("anyOf").and_then(Value::as_array) {
        Some(either) => {
            let real = either.iter().find(|s| !is_null(s)).unwrap_or(schema);
            (resolved(root, real).0, either.iter().any(is_null))
        }
        None => (schema, is_null(schema)),
    }
}

/// A text of 1 to `MOST` characters.
pub(super) struct Text<const MOST: u32>;

impl<const MOST: u32> JsonSchema for Text<MOST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Text{MOST}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MOST })
    }
}

/// A text that is more than characters, and how a schema says so.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: { $($body:tt)* })*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ $($body)* })
            }
        }
    )*};
}

kinds! {
    /// `-7d`, `+30m`, `0`
    Offset: { "type": "string", "pattern": "^ *(0|[+-][0-9]{1,8}[wdhms]) *$" }
    /// `10m`
    Length: { "type": "string", "pattern": "^ *[0-9]{1,8}[dhms] *$" }
    /// `10m`, and not `0m`
    SomeLength: { "type": "string", "pattern": "^ *0*[1-9][0-9]{0,7}[dhms] *$" }
    /// `2026-12-01 14:00`
    Time: { "type": "string", "pattern": "^ *[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:?[0-9]{2}.*)? *$" }
    /// `22:00-06:00`
    Night: { "type": "string", "pattern": "^ *[0-9]{2}:[0-9]{2}(:[0-9]{2})? *- *[0-9]{2}:[0-9]{2}(:[0-9]{2})? *$" }
    Cron: { "type": "string", "pattern": "^ *[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ 0-9]+ *$" }
    Zone: { "type": "string", "minLength": 1, "format": "time-zone" }
    Emoji: { "type": "string", "pattern": "^[^A-Za-z0-9]+$" }
    Link: { "type": "string", "pattern": "^https://[^\\s<>()]+$", "maxLength": 200 }
    ShortLink: { "type": "string", "pattern": "^https://[^\\s<>()]+$", "maxLength": 80 }
    Id: { "type": "string", "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 24 }
    TopicId: { "type": "string", "pattern": "^[a-z0-9-]+$", "maxLength": 24 }
    CodeHash: { "type": "string", "pattern": "^0x[0-9a-fA-F]{64}$" }
    DiscordId: { "type": "string", "pattern": "^[+]?0*[1-9][0-9]*$" }
    MatrixId: { "type": "string", "pattern": "^@[^\\s:]+:[^\\s]+$" }
    Homeserver: { "type": "string", "pattern": "^https?://.+$" }
    Endpoint: { "type": "string", "pattern": "^wss?://[^\\s]+$" }
    StoreUrl: { "type": "string", "pattern": "^(sqlite|postgres(ql)?)://.+$" }
    Locale: { "type": "string", "pattern": "^[a-z]{2,3}(-[A-Z]{2})?$" }
    Address: { "type": "string", "pattern": ":[0-9]+$" }
    Path: { "type": "string", "minLength": 1 }
    Template: { "type": "string", "minLength": 1, "format": "template" }
    Channel: { "type": "string", "minLength": 1, "format": "channel" }
    Chain: { "type": "string", "minLength": 1, "format": "chain" }
    Group: { "type": "string", "minLength": 1, "format": "group" }
    Topic: { "type": "string", "minLength": 1, "format": "topic" }
    /// `1.3a`
    Item: { "type": "string", "pattern": "^[1-5]\\.[0-9]{1,2}[a-z]?$" }
    Contact: { "type": "string", "minLength": 1, "format": "contact" }
    /// A Discord channel's id, or a Matrix room's id or alias.
    Place: { "type": "string", "pattern": "^([!#].+|[+]?0*[1-9][0-9]*)$" }
    Mentions: {
        "type": "array",
        "minItems": 1,
        "items": { "type": "string", "pattern": "^(@room|@[^\\s:]+:[^\\s]+|[+]?0*[1-9][0-9]*)$" }
    }
    Weight: { "type": "number", "exclusiveMinimum": 0 }
    Share: { "type": "number", "minimum": 0, "maximum": 1 }
}
