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
    schema.to_value()
}
