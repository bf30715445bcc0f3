//! Values that were left empty.

use serde_json::Value;

/// Finds the path of the first value that nobody wrote (`title:`, `title: ~`). YAML's reader would make the text "null" of
/// it, or read the file as if the key weren't there; who wrote the key meant something by it.
pub(super) fn left_empty(yaml: &str) -> Option<Vec<String>> {
    let value: Value = serde_yaml::from_str(yaml).ok()?;
    let mut path = Vec::new();
    unwritten(&value, &mut path).then_some(path)
}

/// Leaves the path at the first that is empty.
fn unwritten(value: &Value, path: &mut Vec<String>) -> bool {
    let mut below = |key: String, value: &Value| {
        path.push(key);
        let found = unwritten(value, path);
        if !found {
            path.pop();
        }
        found
    };
    match value {
        Value::Null => true,
        Value::Array(list) => (0_usize..)
            .zip(list)
            .any(|(i, value)| below(i.to_string(), value)),
        Value::Object(map) => map.iter().any(|(key, value)| below(key.clone(), value)),
        _ => false,
    }
}
