//! Kinds of values: a text that is more than characters, as a schema says it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A text of 1 to `MOST` characters.
pub struct TextUpTo<const MOST: u32>;

impl<const MOST: u32> JsonSchema for TextUpTo<MOST> {
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
        pub struct $name;

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
    Time: { "type": "string", "pattern": "^ *[0-9]{4}-[0-9]{2}-[0-9]{2}[ Tt][0-9]{2}.*$" }
    /// `22:00-06:00`
    Night: { "type": "string", "pattern": "^ *[0-9]{2}:[0-9]{2}(:[0-9]{2})? *- *[0-9]{2}:[0-9]{2}(:[0-9]{2})? *$" }
    Cron: { "type": "string", "pattern": "^ *[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ 0-9]+ *$" }
    Zone: { "type": "string", "minLength": 1, "format": "time-zone" }
    Emoji: { "type": "string", "pattern": "^[^A-Za-z0-9]+$" }
    Link: { "type": "string", "pattern": "^https://[^\\s<>()]+$", "maxLength": 200 }
    ShortLink: { "type": "string", "pattern": "^https://[^\\s<>()]+$", "maxLength": 80 }
    Id: { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 24 }
    TopicId: { "type": "string", "pattern": "^[a-z0-9-]+$", "maxLength": 24 }
    CodeHash: { "type": "string", "pattern": "^0x[0-9a-fA-F]{64}$" }
    DiscordId: { "type": "string", "pattern": "^[1-9][0-9]*$" }
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
    Place: { "type": "string", "pattern": "^([!#][^\\s]+|[1-9][0-9]*)$" }
    Mentions: {
        "type": "array",
        "minItems": 1,
        "items": { "type": "string", "pattern": "^(@room|@[^\\s:]+:[^\\s]+|[1-9][0-9]*)$" }
    }
    Weight: { "type": "number", "exclusiveMinimum": 0 }
    Share: { "type": "number", "minimum": 0, "maximum": 1 }
}
