//! The JSON Schemas of all files, made from the shapes that read them: editors complete and underline with them.
//!
//! A schema tells shape: keys, types, lengths and patterns. What only meaning can tell (is there such a channel?)
//! is left to `herald check`; a `format` names the kind of such a text.

use std::collections::BTreeMap;

use schemars::{Schema, schema_for};
use serde_json::Value;

use super::{checklist, deployment, help, locale, people, plan, upgrade};

/// Returns every file's schema by its name: `plan` for plan.yaml, `upgrade` for each of upgrades/, `words` for templates/words/.
pub fn all() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("herald", schema_for!(deployment::RawDeployment)),
        ("plan", schema_for!(plan::RawPlan)),
        ("upgrade", schema_for!(upgrade::RawUpgrade)),
        ("people", schema_for!(people::RawPeopleFile)),
        ("help", schema_for!(help::Help)),
        ("checklist", schema_for!(checklist::RawChecklist)),
        ("words", schema_for!(locale::RawWords)),
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
    let mut schema = schema.to_value();
    without_null(&mut schema);
    schema
}

/// Takes out that a value may be null: a key that may be left out is left out, and none is left empty.
fn without_null(schema: &mut Value) {
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    match schema {
        Value::Object(map) => {
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            if let Some(Value::Array(kinds)) = map.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = &kinds[..] {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(either)) = map.get_mut("anyOf") {
                either.retain(|schema| !is_null(schema));
                if let [Value::Object(only)] = &either[..] {
                    let only = only.clone();
                    map.remove("anyOf");
                    only.into_iter().for_each(|(key, value)| {
                        map.entry(key).or_insert(value);
                    });
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}
