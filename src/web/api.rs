//! Writes the bulletins as JSON, for programs, and a description of the API.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use crate::report::bulletin::Bulletin;

#[derive(Serialize, JsonSchema)]
struct Upgrades<'a> {
    /// The upgrades under way first, then the newest.
    upgrades: &'a [Bulletin],
}

pub(super) fn all(bulletins: &[Bulletin]) -> Vec<u8> {
    bytes(&Upgrades {
        upgrades: bulletins,
    })
}

pub(super) fn one(bulletin: &Bulletin) -> Vec<u8> {
    bytes(bulletin)
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Writes a description of the API, in OpenAPI 3.1.
pub(super) fn description(title: &str, address: &str) -> Vec<u8> {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut schemas = SchemaGenerator::new(settings);
    let (all, one) = (
        schemas.subschema_for::<Upgrades<'_>>(),
        schemas.subschema_for::<Bulletin>(),
    );
    let answer = |what: &str, schema: Value| json!({ "description": what, "content": { "application/json": { "schema": schema } } });
    let missing = json!({ "description": "There is no such upgrade, or nothing was said of it in public yet." });
    let id = json!({ "name": "id", "in": "path", "required": true, "description": "The upgrade's id: v2.3.1", "schema": { "type": "string" } });
    let described = json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": "Runtime upgrades, and what was and will be said of them. Times are UTC (RFC 3339). All of it can be read by everybody, and nothing can be changed. Each answer has an ETag: ask with If-None-Match, and what is unchanged is not sent again.",
        },
        "servers": [{ "url": address }],
        "paths": {
            "/api/v1/upgrades": { "get": {
                "operationId": "listUpgrades",
                "summary": "Every upgrade that was spoken of in public",
                "responses": { "200": answer("All upgrades.", all.into()) },
            } },
            "/api/v1/upgrades/{id}": { "get": {
                "operationId": "getUpgrade",
                "summary": "One upgrade",
                "parameters": [id],
                "responses": { "200": answer("The upgrade.", one.into()), "404": missing },
            } },
            "/events": { "get": {
                "operationId": "followEditions",
                "summary": "A line for each change, as server-sent events",
                "responses": { "200": {
                    "description": "An event `edition`, whose data differs whenever anything has changed: ask for the rest then.",
                    "content": { "text/event-stream": { "schema": { "type": "string" } } },
                } },
            } },
        },
        "components": { "schemas": schemas.take_definitions(true) },
    });
    serde_json::to_vec_pretty(&described).unwrap_or_default()
}
