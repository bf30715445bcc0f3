//! Everything an operator can get wrong, generated over every field of every file, and refused with its place.
//!
//! The fields, and what may stand in each, come from the schemas. A change that a schema allows and that names nothing
//! that isn't there is no mistake, so none is made.

mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use upgrade_herald::{
    config::{self, Finding, Origin, Severity},
    lint,
};

use crate::{process::cli::herald, support::repo};

/// File in the folder, its schema, and a sample in which every key of the schema stands (two of a kind together).
const FILES: [(&str, &str, &str); 9] = [
    (
        "config/herald.yaml",
        "herald",
        include_str!("malformed/token.yaml"),
    ),
    (
        "config/herald.yaml",
        "herald",
        include_str!("malformed/herald.yaml"),
    ),
    (
        "config/plan.yaml",
        "plan",
        include_str!("malformed/plan.yaml"),
    ),
    (
        "config/upgrades/upgrade.yaml",
        "upgrade",
        include_str!("malformed/upgrade.yaml"),
    ),
    (
        "config/upgrades/poll.yaml",
        "upgrade",
        include_str!("malformed/poll.yaml"),
    ),
    (
        "config/people.yaml",
        "people",
        include_str!("malformed/people.yaml"),
    ),
    (
        "config/help.yaml",
        "help",
        include_str!("malformed/help.yaml"),
    ),
    (
        "config/checklist.yaml",
        "checklist",
        include_str!("malformed/checklist.yaml"),
    ),
    (
        "templates/words/de.yaml",
        "words",
        include_str!("../../../templates/words/de.yaml"),
    ),
];

/// As few templates as the notices of the sample need.
const TEMPLATES: [(&str, &str); 7] = [
    (
        "preparation/first",
        "{{upgrade.title}} is coming, {{left window.opens}}.",
    ),
    ("validation/done", "{{upgrade.title}} is done."),
    ("scheduling/mark", "No longer so."),
    ("operations/approval", "Please approve {{notice.id}}."),
    ("validation/feedback-thread", "How is it?"),
    (
        "scheduling/private",
        "{{upgrade.title}} opens {{time window.opens}}.",
    ),
    ("scheduling/said", "{{#each lines}}{{this}}{{/each}}"),
];

pub fn origin(dir: &Path) -> Origin {
    Origin::Folder {
        config: dir.join("config"),
        templates: dir.join("templates"),
    }
}

/// A folder with the sample files.
pub fn sample() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in TEMPLATES {
        write(dir.path(), &format!("templates/{name}.md.hbs"), text);
    }
    for (file, _, text) in FILES {
        write(dir.path(), file, text);
    }
    let quay = "identity: { display: Quay Nodes, riot: \"@quay:example.org\" }\naccounts: [{ identity: { display: QUAY/1 }, stash: invented }]\n";
    write(
        dir.path(),
        "config/roster/paseo-validators/active/quay.yml",
        quay,
    );
    write(
        dir.path(),
        "templates/words/en.yaml",
        include_str!("../../../templates/words/en.yaml"),
    );
    dir
}

pub fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What the real load says; a panic is told apart.
fn said(dir: &Path) -> Result<Vec<Finding>, String> {
    let load = || lint::load(&origin(dir)).map_or_else(|findings| findings, |_| Vec::new());
    catch_unwind(AssertUnwindSafe(load))
        .map_err(|panic| format!("it panicked: {:?}", panic.downcast_ref::<String>()))
}

/// One mistake.
struct Mistake {
    file: &'static str,
    schema: &'static str,
    /// Where, and what was done there.
    path: Vec<String>,
    what: String,
    value: Value,
    /// A schema sees it as well: key, type, presence or choice.
    shape: bool,
    /// It concerns the mapping or list around the place.
    around: bool,
}

/// Walks a sample beside its schema.
struct Walk<'a> {
    file: &'static str,
    name: &'static str,
    schema: &'a Value,
    root: &'a Value,
    /// Each field is got wrong in each way once, however often it stands in the sample.
    done: BTreeSet<String>,
    /// Keys of the schema that stand in the sample.
    met: &'a mut BTreeSet<String>,
    found: Vec<Mistake>,
}

impl<'a> Walk<'a> {
    /// The schema behind references and what may be null.
    fn resolved(&self, schema: &'a Value) -> (&'a Value, bool) {
        if let Some(name) = schema["$ref"]
            .as_str()
            .and_then(|r| r.strip_prefix("#/$defs/"))
        {
            return (&self.schema["$defs"][name], false);
        }
        if let Some(either) = schema["anyOf"].as_array() {
            let real = either.iter().find(|s| s["type"] != "null").unwrap();
            return (self.resolved(real).0, true);
        }
        (
            schema,
            schema["type"]
                .as_array()
                .is_some_and(|t| t.contains(&json!("null"))),
        )
    }

    /// `field` names the key in the schema, `path` the place in the sample.
    fn mistake(
        &mut self,
        path: &[String],
        field: &str,
        what: &str,
        new: Option<Value>,
        shape: bool,
    ) {
        if self.done.insert(format!("{field} {what}")) {
            let mut value = self.root.clone();
            yaml::put(&mut value, path, new);
            let around = matches!(what, "missing" | "unheard of" | "twice");
            self.found.push(Mistake {
                file: self.file,
                schema: self.name,
                path: path.to_vec(),
                what: what.to_owned(),
                value,
                shape,
                around,
            });
        }
    }

    fn value(&mut self, schema: &'a Value, value: &'a Value, path: &[String], field: &str) {
        let (schema, nullable) = self.resolved(schema);
        if !nullable {
            self.mistake(path, field, "null", Some(Value::Null), true);
        }
        match value {
            Value::Object(map) => self.object(schema, map, path, field),
            Value::Array(list) => self.array(schema, list, path, field),
            Value::String(text) => self.text(schema, text, path, field),
            Value::Number(_) => self.number(schema, path, field),
            Value::Bool(_) => self.mistake(path, field, "wrong type", Some(json!("perhaps")), true),
            Value::Null => {}
        }
    }

    fn object(
        &mut self,
        schema: &'a Value,
        map: &'a Map<String, Value>,
        path: &[String],
        field: &str,
    ) {
        let below = |key: &str| {
            path.iter()
                .cloned()
                .chain([key.to_owned()])
                .collect::<Vec<_>>()
        };
        self.mistake(path, field, "wrong type", Some(json!(7)), true);
        if schema["additionalProperties"] == json!(false) {
            self.mistake(
                &below("unheard_of"),
                field,
                "unheard of",
                Some(json!(1)),
                true,
            );
        }
        for key in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            self.mistake(
                &below(key),
                &format!("{field}.{key}"),
                "missing",
                None,
                true,
            );
        }
        if schema["minProperties"] == json!(1) {
            self.mistake(path, field, "empty", Some(json!({})), true);
        }
        for choice in schema["oneOf"].as_array().into_iter().flatten() {
            let key = choice["required"][0].as_str().unwrap();
            if map.contains_key(key) {
                self.mistake(
                    &below(key),
                    &format!("{field}.{key}"),
                    "missing",
                    None,
                    true,
                );
            }
        }
        for (key, value) in map {
            let (known, field) = match schema["properties"].get(key) {
                Some(known) => (known, format!("{field}.{key}")),
                None => (&schema["additionalProperties"], format!("{field}.*")),
            };
            self.met.insert(address(schema, key));
            self.value(known, value, &below(key), &field);
        }
    }

    fn array(&mut self, schema: &'a Value, list: &'a [Value], path: &[String], field: &str) {
        self.mistake(path, field, "wrong type", Some(json!("no list")), true);
        if schema["minItems"].as_u64().is_some_and(|n| n > 0) {
            self.mistake(path, field, "empty", Some(json!([])), true);
        }
        if let (Some(most), Some(last)) = (schema["maxItems"].as_u64(), list.last()) {
            let many = vec![last.clone(); most as usize + 1];
            self.mistake(path, field, "too many", Some(json!(many)), true);
        }
        let named = |v: &Value| v.get("id").is_some() || v.get("roles").is_some();
        if let Some(last) = list.last().filter(|last| named(last)) {
            let twice: Vec<Value> = list.iter().chain([last]).cloned().collect();
            self.mistake(path, field, "twice", Some(json!(twice)), false);
        }
        for (i, item) in list.iter().enumerate() {
            let path: Vec<String> = path.iter().cloned().chain([i.to_string()]).collect();
            self.value(&schema["items"], item, &path, &format!("{field}[]"));
        }
    }

    fn text(&mut self, schema: &'a Value, text: &str, path: &[String], field: &str) {
        self.mistake(
            path,
            field,
            "wrong type",
            Some(json!({ "of": "text" })),
            true,
        );
        let choices = |s: &Value| s.get("enum").is_some() || s.get("const").is_some();
        if choices(schema)
            || schema["oneOf"]
                .as_array()
                .is_some_and(|all| all.iter().any(choices))
        {
            return self.mistake(
                path,
                field,
                "no such choice",
                Some(json!("unheard-of")),
                true,
            );
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            self.mistake(path, field, "no sense", Some(json!("a%%a")), true);
            for (part, what, new) in [
                ("{4}-", "no such day", "2031-13-45 14:00"),
                ("[dhms]", "too far", "99999999d"),
                ("[1-9][0-9]{0,7}[dhms]", "no time", "0m"),
                ("[^ 0-9]", "no such minute", "99 9 * * *"),
                ("[wdhms]", "no such unit", "-1y"),
                ("{2}:[0-9]{2}(", "no such hour", "25:00-06:00"),
            ] {
                // How far an offset may lead is a matter of the window, so it is for `herald check`.
                if pattern.contains(part) && !(part == "[dhms]" && pattern.contains("wd")) {
                    self.mistake(path, field, what, Some(json!(new)), false);
                }
            }
        }
        if schema["pattern"].is_string() || schema["minLength"].as_u64().is_some_and(|n| n > 0) {
            self.mistake(path, field, "empty", Some(json!("")), true);
        }
        if let Some(most) = schema["maxLength"].as_u64() {
            self.mistake(
                path,
                field,
                "too long",
                Some(json!(format!("{text}{}", "x".repeat(most as usize)))),
                true,
            );
        }
        match schema["format"].as_str() {
            Some("time-zone") => self.mistake(
                path,
                field,
                "no such zone",
                Some(json!("Mars/Olympus_Mons")),
                false,
            ),
            Some(_) => self.mistake(
                path,
                field,
                "no such name",
                Some(json!("unheard-of")),
                false,
            ),
            None => {}
        }
    }

    fn number(&mut self, schema: &'a Value, path: &[String], field: &str) {
        self.mistake(path, field, "wrong type", Some(json!("many")), true);
        if let Some(least) = schema["minimum"].as_f64() {
            self.mistake(
                path,
                field,
                "too little",
                Some(json!(least as i64 - 1)),
                true,
            );
        }
        if schema["exclusiveMinimum"].is_number() {
            self.mistake(path, field, "nothing", Some(json!(0)), true);
            self.mistake(path, field, "less than nothing", Some(json!(-1)), true);
        }
        if let Some(most) = schema["maximum"].as_f64() {
            self.mistake(path, field, "too much", Some(json!(most + 1.5)), true);
        }
        if schema["format"] == "uint32" {
            self.mistake(path, field, "too large", Some(json!(1_u64 << 40)), false);
        }
        if schema["type"].to_string().contains("integer") {
            self.mistake(path, field, "no whole number", Some(json!(1.5)), true);
        }
    }
}

/// A key of a mapping of the schema, wherever it is used.
fn address(schema: &Value, key: &str) -> String {
    let keys: Vec<&str> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k.as_str())
        .collect();
    format!("{} of {}", key, keys.join(","))
}

/// Every key that a schema knows, by the same name.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.extend(properties.keys().map(|key| address(schema, key)));
    }
    match schema {
        Value::Object(map) => map.values().for_each(|s| keys(s, found)),
        Value::Array(list) => list.iter().for_each(|s| keys(s, found)),
        _ => {}
    }
}

fn parsed(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// Every mistake, and the keys of the schemas that none is made of.
fn mistakes(schemas: &BTreeMap<&'static str, Value>) -> (Vec<Mistake>, BTreeSet<String>) {
    let (mut found, mut all, mut met) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    schemas.values().for_each(|schema| keys(schema, &mut all));
    let mut done: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (file, name, text) in FILES {
        let root = parsed(text);
        let done = done.entry(name).or_default();
        let mut walk = Walk {
            file,
            name,
            schema: &schemas[name],
            root: &root,
            done: std::mem::take(done),
            met: &mut met,
            found: Vec::new(),
        };
        walk.value(&schemas[name], &root, &[], "");
        (*done, found) = (walk.done, found.into_iter().chain(walk.found).collect());
    }
    (found, all.difference(&met).cloned().collect())
}

/// What is wrong with the answer to a mistake, if anything.
fn complaint(dir: &Path, mistake: &Mistake) -> Option<String> {
    let (text, lines) = yaml::written(&mistake.value);
    write(dir, mistake.file, &text);
    let findings = match said(dir) {
        Ok(findings) => findings,
        Err(panic) => return Some(panic),
    };
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .collect();
    let here = dir.join(mistake.file).display().to_string();
    let (first, last) = yaml::around(&lines, &mistake.path, mistake.around);
    let fits =
        |f: &&&Finding| f.file == here && f.line >= first.max(1) && f.line <= last && f.column >= 1;
    if errors.is_empty() {
        return Some("it is let through".to_owned());
    }
    if let Some(mute) = errors
        .iter()
        .find(|f| f.hint.trim().is_empty() || f.message.trim().is_empty())
    {
        return Some(format!("no message or hint: {mute}"));
    }
    errors
        .iter()
        .find(fits)
        .is_none()
        .then(|| format!("lines {first} to {last} are meant, and it says {errors:?} of\n{text}"))
}

#[test]
fn every_field_got_wrong_in_every_way_is_refused_with_its_place_and_a_hint() {
    let dir = sample();
    assert_eq!(said(dir.path()).unwrap(), [], "the sample is good");
    let schemas = config::schemas();
    let (mistakes, missed) = mistakes(&schemas);
    assert!(missed.is_empty(), "keys that the sample lacks: {missed:?}");
    let validators: BTreeMap<&str, jsonschema::Validator> = schemas
        .iter()
        .map(|(name, schema)| (*name, jsonschema::validator_for(schema).unwrap()))
        .collect();
    let (mut wrong, mut by_what, mut unshaped) = (Vec::new(), BTreeMap::<&str, usize>::new(), 0);
    let originals: BTreeMap<&str, &str> =
        FILES.iter().map(|(file, _, text)| (*file, *text)).collect();
    for (i, mistake) in mistakes.iter().enumerate() {
        *by_what.entry(&mistake.what).or_default() += 1;
        let name = format!(
            "{} {} ({})",
            mistake.file,
            mistake.path.join("."),
            mistake.what
        );
        wrong.extend(complaint(dir.path(), mistake).map(|why| format!("{name}: {why}")));
        if mistake.shape && validators[mistake.schema].is_valid(&mistake.value) {
            wrong.push(format!("{name}: the schema lets it through"));
        }
        unshaped += usize::from(!mistake.shape);
        // The process says the same as the library; a dozen times is enough to know.
        if i % (mistakes.len() / 12) == 0 {
            let output = herald(dir.path(), &["check", "--json"]);
            let line = String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let finding: Value = serde_json::from_str(&line).unwrap_or_default();
            if output.status.code() != Some(1)
                || finding["severity"] != "error"
                || !finding["line"].is_u64()
            {
                wrong.push(format!("{name}: the process says {output:?}"));
            }
        }
        write(dir.path(), mistake.file, originals[mistake.file]);
    }
    println!(
        "{}",
        json!({ "malformed_configs": mistakes.len(), "refused": mistakes.len() - wrong.len(), "schema_refuses_too": mistakes.len() - unshaped, "kinds": by_what })
    );
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        mistakes.len(),
        wrong.join("\n")
    );
    assert!(mistakes.len() >= 400, "{}", mistakes.len());
}

#[test]
fn the_committed_schemas_are_what_the_code_makes_and_every_sample_file_fits_its_own() {
    let schemas = config::schemas();
    for (name, schema) in &schemas {
        let file = repo().join(format!("config/schemas/{name}.schema.json"));
        let committed: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert!(
            committed == *schema,
            "{} is out of date: herald schema --out config/schemas",
            file.display()
        );
    }
    let config = repo().join("config");
    let mut files: Vec<(&str, std::path::PathBuf)> = schemas
        .keys()
        .map(|name| (*name, config.join(format!("{name}.yaml"))))
        .filter(|(_, path)| path.exists())
        .collect();
    files.extend(
        fs::read_dir(config.join("upgrades"))
            .unwrap()
            .map(|e| ("upgrade", e.unwrap().path())),
    );
    files.extend(
        fs::read_dir(repo().join("templates/words"))
            .unwrap()
            .map(|e| ("words", e.unwrap().path())),
    );
    assert!(files.len() >= 5, "{files:?}");
    for (name, path) in files {
        let text = fs::read_to_string(&path).unwrap();
        let errors: Vec<String> = jsonschema::validator_for(&schemas[name])
            .unwrap()
            .iter_errors(&parsed(&text))
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let first = text.lines().next().unwrap();
        let schema = first
            .strip_prefix("# yaml-language-server: $schema=")
            .unwrap_or_else(|| panic!("{} names no schema", path.display()));
        assert!(
            path.parent().unwrap().join(schema).is_file()
                && schema.ends_with(&format!("/{name}.schema.json")),
            "{}",
            path.display()
        );
    }
}

/// Tags that are wrong wherever they stand, with a word of what is said of them.
const TAGS: [(&str, &str); 22] = [
    ("{{nonsense}}", "no variable"),
    ("{{upgrade.nonsense}}", "no variable"),
    ("{{upgrade.title.nonsense}}", "no variable"),
    ("{{#if nonsense}}x{{/if}}", "no variable"),
    ("{{#each chains}}{{nonsense}}{{/each}}", "no variable"),
    (
        "{{#each upgrade.changes}}{{this.nonsense}}{{/each}}",
        "no variable",
    ),
    ("{{#if (eq upgrade.nonsense \"x\")}}x{{/if}}", "no variable"),
    ("{{time}}", "no variable"),
    ("{{time window.nonsense}}", "no variable"),
    ("{{nonsense window.opens}}", "no helper"),
    ("{{#if (nonsense late)}}x{{/if}}", "no helper"),
    ("{{#nonsense chains}}x{{/nonsense}}", "no block helper"),
    ("{{> nonsense}}", "no partial"),
    ("{{{upgrade.title}}}", "unescaped"),
    ("{{*nonsense}}", "decorators"),
    ("{{time upgrade.title}}", "wants a time"),
    ("{{time window.opens window.closes}}", "takes one value"),
    ("{{#if (eq upgrade.state)}}x{{/if}}", "takes 2 values"),
    ("{{span window.opens}}", "wants a length"),
    ("{{#each upgrade.title}}x{{/each}}", "wants a list"),
    ("{{upgrade}}", "no text"),
    ("{{window.opens}}", "number of seconds"),
];

/// What makes a text no template at all.
const BROKEN: [&str; 8] = [
    "{{#if late}}never closed",
    "{{#if late}}x{{/each}}",
    "{{/if}}",
    "{{upgrade.title",
    "{{#each chains}}",
    "{{ }}",
    "{{#if (eq late}}x{{/if}}",
    "{{time window.}}",
];

#[test]
fn every_template_got_wrong_in_many_ways_is_refused_with_its_place_and_a_hint() {
    let dir = crate::process::cli::changed("config/plan.yaml", "zone", "zone");
    let loaded = lint::load(&origin(dir.path())).unwrap_or_else(|f| panic!("{f:?}"));
    let timed: BTreeSet<&String> = loaded
        .config
        .plan
        .all_notices()
        .filter(|(_, n)| {
            !matches!(
                n.trigger,
                upgrade_herald::domain::plan::notice::Trigger::On(_)
            )
        })
        .map(|(_, n)| &n.template)
        .collect();
    let mut cases: Vec<(String, String, usize, &str)> = Vec::new();
    // Of translations every fourth: they are reviewed by the same code.
    let chosen = loaded
        .config
        .templates
        .iter()
        .enumerate()
        .filter(|(i, (name, _))| !name.contains('.') || i % 4 == 0);
    for (i, (name, file)) in chosen {
        let path = format!("templates/{name}.md.hbs");
        let last = file.text.lines().count() + 2;
        let append = |tag: &str| format!("{}\n\n{tag}\n", file.text.trim_end());
        let last = file.text.trim_end().lines().count().max(1).min(last) + 2;
        for (tag, word) in TAGS.iter().skip(i % 8).step_by(8) {
            cases.push((path.clone(), append(tag), last, word));
        }
        let broken = BROKEN[i % BROKEN.len()];
        cases.push((path.clone(), append(broken), 0, "not a template"));
        if let Some(partial) = name
            .strip_prefix("partials/")
            .and_then(|p| p.split('.').next())
        {
            cases.push((
                path.clone(),
                append(&format!("{{{{> {partial}}}}}")),
                1,
                "include each other",
            ));
        } else {
            cases.push((path.clone(), "\n \n".to_owned(), 1, "nothing in it"));
        }
        if timed.contains(name) {
            cases.push((
                path.clone(),
                append("In block {{fact.block}}."),
                last,
                "no fact",
            ));
            cases.push((
                path.clone(),
                append("{{#if late}}{{time fact.time}}{{/if}}"),
                last,
                "no fact",
            ));
            cases.push((
                path.clone(),
                append("{{time upgrade.scheduled.at}}"),
                1,
                "wants a time",
            ));
        }
    }
    cases.push((
        "templates/execution/unheard-of.de.md.hbs".into(),
        "Nichts.".into(),
        1,
        "no `execution/unheard-of` it translates",
    ));
    cases.push((
        "templates/preparation/announced.eo.md.hbs".into(),
        "Nenio.".into(),
        1,
        "no words for `eo`",
    ));
    cases.push((
        "templates/preparation/announced.en.md.hbs".into(),
        "Nothing.".into(),
        1,
        "needs no translation",
    ));
    cases.push((
        "templates/preparation/announced.xyzzy.md.hbs".into(),
        "Nothing.".into(),
        1,
        "not a locale",
    ));
    let mut wrong = Vec::new();
    for (path, text, line, word) in &cases {
        let full = dir.path().join(path);
        let before = fs::read_to_string(&full).ok();
        fs::write(&full, text).unwrap();
        let findings = said(dir.path()).unwrap_or_default();
        let fits = |f: &Finding| {
            let place = f.line >= 1 && f.column >= 1 && (*line == 0 || f.line == *line);
            f.severity == Severity::Error
                && f.file == full.display().to_string()
                && place
                && f.message.contains(word)
                && !f.hint.is_empty()
        };
        if !findings.iter().any(fits) {
            wrong.push(format!("{path}:{line} ({word}): {findings:?} of\n{text}"));
        }
        match before {
            Some(text) => fs::write(&full, text).unwrap(),
            None => fs::remove_file(&full).unwrap(),
        }
    }
    println!(
        "{}",
        json!({ "malformed_templates": cases.len(), "refused": cases.len() - wrong.len() })
    );
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(cases.len() >= 150, "{}", cases.len());
}
