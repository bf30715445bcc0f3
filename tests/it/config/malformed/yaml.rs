//! Values as YAML in block style, and the lines on which each stands: a yardstick of its own for places.

use std::collections::BTreeMap;

use serde_json::Value;

/// First and last line of what stands at each path.
pub type Lines = BTreeMap<Vec<String>, (usize, usize)>;

pub fn written(value: &Value) -> (String, Lines) {
    let (mut text, mut lines) = (String::new(), Lines::new());
    write(value, 0, &mut Vec::new(), &mut text, &mut lines);
    let last = text.lines().count().max(1);
    lines.insert(Vec::new(), (1, last));
    (text, lines)
}

fn write(
    value: &Value,
    depth: usize,
    path: &mut Vec<String>,
    text: &mut String,
    lines: &mut Lines,
) {
    let entries: Vec<(String, String, &Value)> = match value {
        Value::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(k, v)| (k.clone(), format!("{}:", Value::from(k.as_str())), v))
            .collect(),
        Value::Array(list) if !list.is_empty() => list
            .iter()
            .enumerate()
            .map(|(i, v)| (i.to_string(), "-".to_owned(), v))
            .collect(),
        scalar => {
            text.push_str(&format!("{scalar}\n"));
            return;
        }
    };
    for (key, lead, value) in entries {
        let first = text.lines().count() + 1;
        text.push_str(&"  ".repeat(depth));
        text.push_str(&lead);
        let nested = matches!(value, Value::Object(m) if !m.is_empty())
            || matches!(value, Value::Array(l) if !l.is_empty());
        text.push(if nested { '\n' } else { ' ' });
        path.push(key);
        write(value, depth + 1, path, text, lines);
        lines.insert(path.clone(), (first, text.lines().count()));
        path.pop();
    }
}

/// The lines in which a mistake is to be found: those of its place, from the line of what it stands in on; or all of
/// what it stands in.
pub fn around(lines: &Lines, path: &[String], whole: bool) -> (usize, usize) {
    let parent = path.split_last().map_or(&[][..], |(_, rest)| rest);
    let outer = lines.get(parent).copied().unwrap_or((1, 1));
    let own = lines.get(path).copied();
    match own {
        _ if whole => (outer.0, outer.1.max(own.map_or(0, |o| o.1))),
        // What stands at the top has nothing above it.
        Some(own) if path.len() < 2 => own,
        Some(own) => (outer.0, own.1),
        None => outer,
    }
}

/// Puts a value at a path, or takes away what is there.
pub fn put(value: &mut Value, path: &[String], new: Option<Value>) {
    let Some((last, rest)) = path.split_last() else {
        *value = new.unwrap_or_default();
        return;
    };
    let parent = rest.iter().fold(value, |at, key| match at {
        Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
        other => &mut other[key],
    });
    match (parent, new) {
        (Value::Array(list), Some(new)) => list[last.parse::<usize>().unwrap()] = new,
        (Value::Object(map), Some(new)) => drop(map.insert(last.clone(), new)),
        (Value::Object(map), None) => drop(map.remove(last)),
        (parent, new) => panic!("{new:?} can't be put into {parent}"),
    }
}
