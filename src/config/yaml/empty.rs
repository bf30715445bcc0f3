//! Values that were left empty.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

/// Finds the path of a value that nobody wrote (`title:`, `title: ~`) where the shape asks for one. YAML's reader would
/// make the text "null" of it.
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

/// Returns the schema behind references, and whether nothing will do as well.
pub(super) fn resolved<'a>(root: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
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
