//! Puts what a reader of YAML finds wrong in words for people, with an example of what is right.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use super::{finding::nearest, span::Position};

/// A message and a hint.
type MessageAndHint = (String, String);

/// Puts an error of the YAML reader in words: the place, what is wrong there, and what to write instead.
pub(super) fn of<T: JsonSchema>(
    text: &str,
    error: &serde_yaml::Error,
) -> (Position, MessageAndHint) {
    let full = error.to_string();
    let place = position(text, &full)
        .or_else(|| error.location().map(|at| (at.line(), at.column())))
        .unwrap_or((1, 1));
    // What stands behind it is where the reader was when it noticed.
    let said = full
        .split_once(" at line ")
        .map_or(&*full, |(said, _)| said);
    let said = said
        .split_once(" at position ")
        .map_or(said, |(said, _)| said);
    let words = shape::<T>(said)
        .or_else(|| syntax(said, stands_at(text, place)))
        .unwrap_or_else(|| {
            let hint = "mend the YAML here: look at indentation, quotes and colons";
            (said.to_owned(), hint.to_owned())
        });
    (place, words)
}

/// Finds the line and column of `at position 4`.
fn position(text: &str, said: &str) -> Option<Position> {
    let (_, behind) = said.split_once(" at position ")?;
    let digits = behind.split(|c: char| !c.is_ascii_digit()).next()?;
    let before = text.get(..digits.parse().ok()?)?;
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Some((line, column))
}

fn stands_at(text: &str, (line, column): Position) -> Option<char> {
    let line = text.lines().nth(line.checked_sub(1)?)?;
    line.chars().nth(column.checked_sub(1)?)
}

/// The errors of text that is no YAML: a part of libyaml's words, ours, and the remedy.
const SYNTAX: [(&str, &str, &str); 14] = [
    (
        "control characters are not allowed",
        "a character that can't be seen stands here",
        "remove it, or type the line anew",
    ),
    (
        "found a tab character",
        "a tab stands here",
        "indent with spaces",
    ),
    (
        "found unknown escape character",
        "a backslash in double quotes has a meaning of its own",
        "write it twice, or use single quotes: 'a\\b'",
    ),
    (
        "found invalid Unicode character escape code",
        "half of a character stands here: YAML has no pairs of escapes such as \\ud83d\\ude80",
        "write the character itself",
    ),
    (
        "mapping values are not allowed",
        "a colon stands where no key can be",
        "begin the keys of one level in one column, and put a text with a colon in quotes: \"One: two\"",
    ),
    (
        "did not find expected key",
        "this line is neither a key nor a part of what stands above",
        "begin the keys of one level in one column, and put a text with quotes or brackets in quotes as a whole",
    ),
    (
        "did not find expected '-' indicator",
        "this line is no item of the list above",
        "begin the items of one list in one column: - one",
    ),
    (
        "block sequence entries are not allowed",
        "a list can't begin behind its key",
        "write it as [one, two], or each item in a line of its own below: - one",
    ),
    (
        "found unexpected end of stream",
        "quotes that are opened here are not closed",
        "close them: \"one\"",
    ),
    (
        "did not find expected ',' or ']'",
        "a list in brackets is not closed",
        "write it as [one, two]",
    ),
    (
        "did not find expected ',' or '}'",
        "keys in braces are not closed",
        "write them as { one: 1, two: 2 }",
    ),
    (
        "unknown anchor",
        "`*` stands for a value that has no name above",
        "put a text that begins with * in quotes: \"*one*\"",
    ),
    (
        "deserializing from YAML containing more than one document",
        "a second document begins in this file",
        "remove the line with ---, or write a file of its own",
    ),
    (
        "could not find expected ':'",
        "a line without a colon stands here",
        "write a key and a value, with a space behind the colon: title: One",
    ),
];

fn syntax(said: &str, stands: Option<char>) -> Option<MessageAndHint> {
    let limit = said.contains("limit exceeded");
    let unnamed = said.contains("did not find expected alphabetic or numeric character");
    match stands {
        Some('\t') => {
            let hint = "indent with spaces";
            return Some(("a tab stands here".to_owned(), hint.to_owned()));
        }
        Some(c) if said.contains("cannot start any token") || unnamed => {
            let message = format!("a value can't begin with `{c}`");
            return Some((message, format!("put it in quotes: \"{c}one\"")));
        }
        _ if limit => {
            let message = "values that stand for others (`*`) make this too large";
            return Some((message.to_owned(), "write the values out".to_owned()));
        }
        _ => {}
    }
    let found = SYNTAX.iter().find(|(begins, ..)| said.contains(begins));
    found.map(|(_, message, hint)| ((*message).to_owned(), (*hint).to_owned()))
}

/// Words for a value that is YAML, but not what belongs there.
fn shape<T: JsonSchema>(said: &str) -> Option<MessageAndHint> {
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let (path, rest) = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|kind| said.split_once(kind))
        .unwrap_or(("", ""));
    let path = path.trim_end_matches(": ");
    match quoted.split_first() {
        Some((word, known)) if said.contains("unknown field") => {
            let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
            let hint = match nearest(word, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if *word == "<<" => "write the keys out: values can't be merged".to_owned(),
                None if is_number => {
                    "write a number with digits alone: 1002000 for 1,002,000".to_owned()
                }
                None => format!("remove it, or use one of: {}", known.join(", ")),
            };
            return Some((format!("unknown field `{}`", beginning_of(word)), hint));
        }
        Some((word, known)) if said.contains("unknown variant") => {
            let hint = match nearest(word, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of: {}", known.join(", ")),
            };
            return Some((format!("`{}` is not known here", beginning_of(word)), hint));
        }
        Some((field, _)) if said.contains("missing field") => {
            let message = format!("missing field `{field}`");
            return Some((message, format!("add `{field}:` here")));
        }
        _ if said.contains("invalid length") => {
            let hint = "write as many as are named above".to_owned();
            return Some((said.to_owned(), hint));
        }
        _ => {}
    }
    let (given, wanted) = rest.rsplit_once(", expected ")?;
    let at = if path.is_empty() {
        String::new()
    } else {
        format!(" for `{path}`")
    };
    let (wanted, hint) = match range_of(wanted) {
        Some(range) => whole_number(given, range),
        None => wanted_words::<T>(path, given, wanted),
    };
    Some((format!("{}{at}, not {wanted}", given_words(given)), hint))
}

/// The longest text that an error repeats: a longer one may be a secret in the wrong place, or a whole file.
const MAX_REPEATED_CHARS: usize = 24;

/// A text as an error repeats it: the beginning alone of a long one.
fn beginning_of(text: &str) -> String {
    if text.chars().count() <= MAX_REPEATED_CHARS {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(4).collect();
    format!("{beginning}…")
}

/// Says what stands there: `this is the text "yes"`, `the number 5`, `a list`.
fn given_words(given: &str) -> String {
    let inside = |kind: &str| {
        let value = given.strip_prefix(kind)?.trim();
        Some(value.trim_matches('`').to_owned())
    };
    if let Some(text) = inside("string") {
        format!("this is the text {}", beginning_of(&text))
    } else if let Some(number) = inside("integer").or_else(|| inside("floating point")) {
        format!("this is the number {number}")
    } else if let Some(value) = inside("boolean") {
        format!("this is `{value}`")
    } else {
        match given {
            "sequence" => "this is a list",
            "map" => "these are keys with values",
            _ => "nothing is written",
        }
        .to_owned()
    }
}

/// The least and the greatest number of a kind of whole numbers.
fn range_of(kind: &str) -> Option<(i128, i128)> {
    Some(match kind {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" | "usize" => (0, u64::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "i64" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

/// Says what a whole number may be, with what was probably meant.
fn whole_number(given: &str, (least, greatest): (i128, i128)) -> (String, String) {
    let digits = text_of(given).map(|text| text.replace(['_', ',', ' ', '\''], ""));
    let digits = digits.as_deref().map(|text| text.trim_start_matches('0'));
    let meant = digits.filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
    let float = given
        .strip_prefix("floating point ")
        .map(|text| text.trim_matches('`'));
    let whole = float
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|n| n.fract() == 0.0 && *n >= 0.0 && *n < 1e15);
    let whole = whole.map(|n| format!("{n:.0}"));
    let example = meant.or(whole.as_deref()).unwrap_or("1002000");
    let number = given.strip_prefix("integer").unwrap_or_default();
    let number = number.trim().trim_matches('`');
    let hint = if number.parse::<i128>().is_ok_and(|n| n > greatest) {
        format!("write {greatest} at most")
    } else {
        format!("write it with digits alone, without quotes: {example}")
    };
    (format!("a whole number from {least} to {greatest}"), hint)
}

/// Returns the text that stands where another kind of value belongs.
fn text_of(given: &str) -> Option<&str> {
    let text = given.strip_prefix("string ");
    text.map(|text| text.trim_matches('"'))
}

/// Says what belongs there, with an example of it.
fn wanted_words<T: JsonSchema>(path: &str, given: &str, wanted: &str) -> (String, String) {
    let text = text_of(given);
    let (wanted, hint) = match wanted {
        "f32" | "f64" => ("a number", "write it as 5 or 0.5".to_owned()),
        "a boolean" => ("true or false", format!("write {}", switch(text))),
        "a string" => (
            "a text",
            "write one text, in quotes if it begins with [ or {: \"one\"".to_owned(),
        ),
        "a sequence" => (
            "a list",
            format!("write it in brackets: [{}]", text.unwrap_or("one, two")),
        ),
        "a YAML tag starting with '!'" => {
            ("one word", "write one of the words of its key".to_owned())
        }
        _ => ("keys with values", keys_hint::<T>(path, text)),
    };
    (wanted.to_owned(), hint)
}

/// Returns the switch that somebody means who writes yes or no.
fn switch(text: Option<&str>) -> &'static str {
    match text.map(str::to_ascii_lowercase).as_deref() {
        Some("yes" | "y" | "on") => "true",
        Some("no" | "n" | "off") => "false",
        _ => "true or false",
    }
}

/// Names keys that may stand at a path.
fn keys_hint<T: JsonSchema>(path: &str, text: Option<&str>) -> String {
    if path.is_empty() && text.is_some_and(|text| text.contains(':')) {
        return "put a space behind the colon: title: One".to_owned();
    }
    let keys = keys_at::<T>(path);
    if keys.is_empty() {
        return "write its keys in lines of their own below, with a value behind each colon"
            .to_owned();
    }
    let lines: Vec<String> = keys
        .iter()
        .take(3)
        .map(|key| format!("`{key}: …`"))
        .collect();
    format!("write its keys below it, such as {}", lines.join(", "))
}

/// Lists the keys that a shape has at a path such as `notices[0].at`, those first that must be there.
fn keys_at<T: JsonSchema>(path: &str) -> Vec<String> {
    let root = schema_for!(T).to_value();
    let mut steps = path.split(['.', '[']).filter(|step| !step.is_empty());
    let end = steps.try_fold(&root, |schema, step| {
        let schema = resolved(&root, schema);
        if step.ends_with(']') {
            return schema.get("items");
        }
        let named = schema.get("properties").and_then(|all| all.get(step));
        named.or_else(|| schema.get("additionalProperties"))
    });
    let Some(schema) = end.map(|schema| resolved(&root, schema)) else {
        return Vec::new();
    };
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    let all = schema.get("properties").and_then(Value::as_object);
    let mut keys: Vec<String> = required.map(str::to_owned).collect();
    for key in all.into_iter().flat_map(|all| all.keys()) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

/// Returns the schema behind references, and behind the choice that a value may be left out.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let name = reference.and_then(|reference| reference.strip_prefix("#/$defs/"));
    if let Some(found) = name.and_then(|name| root.get("$defs")?.get(name)) {
        return found;
    }
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    let either = schema.get("anyOf").and_then(Value::as_array);
    let real = either.and_then(|either| either.iter().find(|schema| !is_null(schema)));
    real.map_or(schema, |real| resolved(root, real))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::config::yaml::source::SourceFile;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Part {
        id: String,
        #[allow(dead_code, reason = "a key to be named")]
        weight: Option<u32>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Required,
        None,
    }

    /// A key of each kind that the files have.
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Kinds {
        text: Option<String>,
        number: Option<u32>,
        share: Option<f64>,
        switch: Option<bool>,
        list: Option<Vec<String>>,
        map: Option<BTreeMap<String, String>>,
        word: Option<Word>,
        part: Option<Part>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Needed {
        #[allow(dead_code, reason = "a key that must be there")]
        text: String,
    }

    const KEYS: [&str; 8] = [
        "text", "number", "share", "switch", "list", "map", "word", "part",
    ];

    fn read<T: serde::de::DeserializeOwned + JsonSchema>(yaml: &str) -> Result<T, String> {
        let file = SourceFile::new("a.yaml".into(), yaml);
        let mut findings = Vec::new();
        let read = file.parse(&mut findings);
        read.ok_or_else(|| findings[0].to_string())
    }

    /// Writes what is read of a key: the value, or `~` where nothing is.
    fn value(key: &str, kinds: &Kinds) -> String {
        let said = match key {
            "text" => kinds.text.clone(),
            "number" => kinds.number.map(|n| n.to_string()),
            "share" => kinds.share.map(|n| n.to_string()),
            "switch" => kinds.switch.map(|s| s.to_string()),
            "list" => kinds.list.as_ref().map(|l| l.join("+")),
            "map" => kinds.map.as_ref().map(|m| format!("{m:?}")),
            "word" => kinds.word.as_ref().map(|w| format!("{w:?}")),
            _ => kinds.part.as_ref().map(|p| p.id.clone()),
        };
        said.unwrap_or_else(|| "~".to_owned())
    }

    /// A value with two readings, and what each kind of key makes of it; kinds that aren't named refuse it.
    const READINGS: [(&str, &[(&str, &str)]); 45] = [
        ("no", &[("text", "no")]),
        ("No", &[("text", "No")]),
        ("off", &[("text", "off")]),
        ("yes", &[("text", "yes")]),
        ("on", &[("text", "on")]),
        ("y", &[("text", "y")]),
        ("true", &[("text", "true"), ("switch", "true")]),
        ("\"true\"", &[("text", "true")]),
        ("~", &[]),
        ("null", &[]),
        ("Null", &[]),
        ("", &[]),
        ("#room:example.org", &[]),
        ("[~]", &[]),
        ("{ id: }", &[]),
        ("\"~\"", &[("text", "~")]),
        ("none", &[("text", "none"), ("word", "None")]),
        ("None", &[("text", "None")]),
        ("1.10", &[("text", "1.10"), ("share", "1.1")]),
        ("1.0", &[("text", "1.0"), ("share", "1")]),
        ("v1.10", &[("text", "v1.10")]),
        ("010", &[("text", "010"), ("share", "10")]),
        ("0o10", &[("text", "0o10"), ("number", "8")]),
        ("0x10", &[("text", "0x10"), ("number", "16")]),
        ("0b11", &[("text", "0b11"), ("number", "3")]),
        ("1_000", &[("text", "1_000")]),
        ("1,000", &[("text", "1,000")]),
        ("1e3", &[("text", "1e3"), ("share", "1000")]),
        ("+5", &[("text", "+5"), ("number", "5"), ("share", "5")]),
        ("-1", &[("text", "-1"), ("share", "-1")]),
        ("\"5\"", &[("text", "5")]),
        (
            "5 # five",
            &[("text", "5"), ("number", "5"), ("share", "5")],
        ),
        (
            "4294967296",
            &[("text", "4294967296"), ("share", "4294967296")],
        ),
        (
            "1100000000000000011",
            &[
                ("text", "1100000000000000011"),
                ("share", "1100000000000000000"),
            ],
        ),
        ("2027-03-09", &[("text", "2027-03-09")]),
        ("2027-03-09 14:00", &[("text", "2027-03-09 14:00")]),
        ("14:00", &[("text", "14:00")]),
        ("22:00-06:00", &[("text", "22:00-06:00")]),
        ("&a x", &[("text", "x")]),
        ("!!str 1.10", &[("text", "1.10"), ("share", "1.1")]),
        ("!secret x", &[]),
        ("[a, 1.10, no]", &[("list", "a+1.10+no")]),
        (
            "{ 1: no, on: 010 }",
            &[("map", "{\"1\": \"no\", \"on\": \"010\"}")],
        ),
        (
            "{ id: 1.10 }",
            &[("map", "{\"id\": \"1.10\"}"), ("part", "1.10")],
        ),
        ("|\n  a\n  b", &[("text", "a\nb\n")]),
    ];

    #[test]
    fn each_kind_of_key_reads_a_value_in_one_way_or_refuses_it() {
        let mut faults = Vec::new();
        for (written, readings) in READINGS {
            for key in KEYS {
                let wanted = readings.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
                let got = read::<Kinds>(&format!("{key}: {written}\n"));
                let got = got.map(|kinds| value(key, &kinds));
                if got.as_deref().ok() != wanted {
                    faults.push(format!("{key}: {written}: {got:?}, not {wanted:?}"));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        // No key is left out by writing nothing, whether it must be there or not.
        for written in ["~", "null", "NULL", "", "#room:example.org"] {
            let yaml = format!("text: {written}\n");
            let needed = read::<Needed>(&yaml).map(|_| ());
            for said in [needed, read::<Kinds>(&yaml).map(|_| ())] {
                let said = said.unwrap_err();
                assert!(
                    said.contains("nothing is written here") && said.contains("in quotes"),
                    "{written}: {said}"
                );
            }
        }
    }

    #[test]
    fn a_file_is_read_the_same_however_its_lines_end() {
        for yaml in [
            "text: one\nnumber: 5\n",
            "\u{feff}text: one\nnumber: 5\n",
            "text: one\r\nnumber: 5\r\n",
            "---\ntext: one\nnumber: 5\n...\n",
            "? text\n: one\nnumber: 5",
            "{text: one, number: 5}",
            "text: &a one\nnumber: 5\nlist: [*a]\n",
        ] {
            let kinds = read::<Kinds>(yaml).unwrap();
            assert_eq!(
                (kinds.text.as_deref(), kinds.number),
                (Some("one"), Some(5)),
                "{yaml:?}"
            );
        }
    }

    /// Each text with the place, and parts of the message and of the hint.
    const WRONG: [(&str, &str, &str, &str); 38] = [
        (
            "part: 5",
            "1:7",
            "this is the number 5 for `part`, not keys with values",
            "such as `id: …`, `weight: …`",
        ),
        (
            "part: [a]",
            "1:7",
            "this is a list for `part`, not keys",
            "`id: …`",
        ),
        (
            "part: {id: a, weight: x}",
            "1:23",
            "this is the text \"x\" for `part.weight`, not a whole number",
            "digits alone",
        ),
        (
            "number: many",
            "1:9",
            "this is the text \"many\" for `number`, not a whole number from 0 to 4294967295",
            "without quotes: 1002000",
        ),
        (
            "number: 1_000",
            "1:9",
            "not a whole number",
            "without quotes: 1000",
        ),
        (
            "number: \"12\"",
            "1:9",
            "not a whole number",
            "without quotes: 12",
        ),
        (
            "number: 010",
            "1:9",
            "not a whole number",
            "without quotes: 10",
        ),
        (
            "number: 1.5",
            "1:9",
            "this is the number 1.5 for `number`",
            "digits alone",
        ),
        (
            "number: -1",
            "1:9",
            "this is the number -1 for `number`",
            "digits alone",
        ),
        (
            "number: 99999999999",
            "1:9",
            "this is the number 99999999999 for `number`, not a whole number from 0 to 4294967295",
            "write 4294967295 at most",
        ),
        (
            "part: { id: a, weight: 2,003,001 }",
            "1:26",
            "unknown field `003`",
            "digits alone: 1002000 for 1,002,000",
        ),
        (
            "number: true",
            "1:9",
            "this is `true` for `number`",
            "digits alone",
        ),
        ("share: half", "1:8", "not a number", "5 or 0.5"),
        (
            "switch: yes",
            "1:9",
            "this is the text \"yes\" for `switch`, not true or false",
            "write true",
        ),
        ("switch: off", "1:9", "not true or false", "write false"),
        (
            "switch: 1",
            "1:9",
            "this is the number 1 for `switch`",
            "write true or false",
        ),
        (
            "text: [a]",
            "1:7",
            "this is a list for `text`, not a text",
            "in quotes",
        ),
        (
            "text: {a}",
            "1:7",
            "these are keys with values for `text`, not a text",
            "in quotes",
        ),
        (
            "list: a",
            "1:7",
            "this is the text \"a\" for `list`, not a list",
            "write it in brackets: [a]",
        ),
        (
            "map: a",
            "1:6",
            "not keys with values",
            "in lines of their own below",
        ),
        (
            "word: yes",
            "1:7",
            "`yes` is not known here",
            "write one of: required, none",
        ),
        (
            "word: Required",
            "1:7",
            "`Required` is not known here",
            "did you mean `required`?",
        ),
        (
            "word: [a]",
            "1:7",
            "this is a list for `word`, not one word",
            "one of the words",
        ),
        (
            "txt: a",
            "1:1",
            "unknown field `txt`",
            "did you mean `text`?",
        ),
        (
            "<<: { text: a }",
            "1:1",
            "unknown field `<<`",
            "can't be merged",
        ),
        (
            "text:a",
            "1:1",
            "this is the text \"text:a\", not keys with values",
            "a space behind the colon",
        ),
        ("text: a\n\tnumber: 5", "2:1", "a tab stands here", "spaces"),
        (
            "text: @room",
            "1:7",
            "a value can't begin with `@`",
            "\"@one\"",
        ),
        ("text: `a`", "1:7", "a value can't begin with ``", "quotes"),
        (
            "text: \"a\\d\"",
            "1:9",
            "a backslash in double quotes",
            "twice",
        ),
        (
            "text: \"\\ud83d\\ude80 a\"",
            "1:10",
            "half of a character",
            "the character itself",
        ),
        (
            "text: One: two",
            "1:10",
            "a colon stands where no key can be",
            "\"One: two\"",
        ),
        (
            "text: a\n  number: 5",
            "2:9",
            "a colon stands where no key can be",
            "one column",
        ),
        (
            "list: - a",
            "1:7",
            "a list can't begin behind its key",
            "[one, two]",
        ),
        (
            "text: 'a\n",
            "2:1",
            "quotes that are opened here are not closed",
            "close them",
        ),
        (
            "text: *a",
            "1:7",
            "`*` stands for a value that has no name",
            "in quotes",
        ),
        ("text: a\n---\ntext: b", "", "a second document", "---"),
        (
            "text: a\nnumber: 5\u{7}",
            "2:10",
            "a character that can't be seen",
            "remove it",
        ),
    ];

    #[test]
    fn what_a_reader_of_yaml_says_is_put_in_words_for_people_with_an_example() {
        let mut faults = Vec::new();
        for (yaml, place, message, hint) in WRONG {
            let said = read::<Kinds>(yaml).map_or_else(|said| said, |kinds| format!("{kinds:?}"));
            let (says, advises) = said.split_once("\n    hint: ").unwrap_or((&said, ""));
            let is_placed = says.starts_with(&format!("a.yaml:{place}"));
            if !(is_placed && says.contains(message) && advises.contains(hint)) {
                faults.push(format!("{yaml:?}: {said}"));
            }
            let raw = [
                "struct ",
                "u32",
                "f64",
                "sequence",
                "unit value",
                "a map",
                "variant",
            ];
            if raw.iter().any(|word| said.contains(word)) {
                faults.push(format!("{yaml:?} as the reader puts it: {said}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let said = read::<Needed>("{}").unwrap_err();
        assert!(said.contains("missing field `text`") && said.contains("add `text:`"));
        let said = read::<Kinds>("text: a\ntext: b\n").unwrap_err();
        assert!(
            said.starts_with("a.yaml:2:1") && said.contains("a second time"),
            "{said}"
        );
        let said = read::<Kinds>("text: !secret a\n").unwrap_err();
        assert!(
            said.contains("a tag, which begins with `!`, means nothing here"),
            "{said}"
        );
    }
}
