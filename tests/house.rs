//! Ten floors: a folder of `src` imports only from folders on lower floors, so no circle of folders can arise. A circle of
//! modules inside a folder is named here with its reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Folders that share a floor don't know each other.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["ports"],
    &["config", "adapters"],
    &["words"],
    &["outbox"],
    &["report"],
    &["watch", "plan", "deliver", "listen", "lint"],
    &["answer", "web"],
    &["run", "rehearsal"],
    &["cli"],
];

/// Circles of modules inside a folder: the folder, the modules below it, and why they are one thing.
const CIRCLES: &[(&str, &[&str], &str)] = &[
    (
        "adapters",
        &[
            "discord",
            "discord::connect",
            "discord::error",
            "discord::place",
            "discord::request",
        ],
        "`Discord` is one client; its parts are named by it and work on it",
    ),
    (
        "adapters",
        &["discord::forum", "discord::send"],
        "a forum's topic is opened with a message, and a message to a forum goes into its topic",
    ),
    (
        "adapters",
        &["irc", "irc::connection"],
        "the client holds its connection, which is made from the client's settings",
    ),
    (
        "adapters",
        &[
            "matrix",
            "matrix::connect",
            "matrix::error",
            "matrix::identity",
            "matrix::power_levels",
        ],
        "`Matrix` is one client; its parts are named by it and work on it",
    ),
    (
        "adapters",
        &["matrix::commands", "matrix::sync"],
        "each sync hands commands over, and both wait by one rule when the homeserver is away",
    ),
    (
        "adapters",
        &[
            "matrix::feedback",
            "matrix::picture",
            "matrix::poll",
            "matrix::send",
        ],
        "a picture and a poll are sent as messages, and a message's content decides which of them it is",
    ),
    (
        "adapters",
        &[
            "store",
            "store::group_commit",
            "store::leadership",
            "store::sql",
        ],
        "`SqlStore` holds its queue of writes and its leader's fence, which work on it",
    ),
    (
        "adapters",
        &["store::connect", "store::migrate"],
        "a database is migrated while it is being opened",
    ),
    (
        "lint",
        &["load", "mod", "windows"],
        "the folder's own file lists the rules, which share its way to word a finding",
    ),
    (
        "listen",
        &["feedback", "poll"],
        "votes are counted on the round that reads feedback, with the same reader",
    ),
    (
        "rehearsal",
        &["driver", "people"],
        "the driver lets invented people act, and they act on the rehearsal",
    ),
    (
        "words",
        &["context", "context::sample"],
        "the sample is a context with every value filled, built where its fields are private",
    ),
    (
        "words",
        &["engine", "replies"],
        "replies are rendered by the engine, which loads their templates and lends its escaping",
    ),
];

/// Everything before a file's tests, without comments.
fn production(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]").next().unwrap();
    let code = code.split("\n#[cfg(all(test").next().unwrap();
    code.lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The paths that a file names below `crate`, `super` or `self`, in imports as well as in its code, nested ones written out.
fn imported(code: &str) -> Vec<String> {
    let starts = ["crate::", "super::", "self::"].map(|root| code.match_indices(root));
    let mut paths = Vec::new();
    for (at, _) in starts.into_iter().flatten() {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        // Whatever stands behind a `::` is part of a path that was found at its beginning.
        if !before.is_alphanumeric() && !"_:$".contains(before) {
            leaves("", &code[at..], &mut paths);
        }
    }
    paths
}

/// Writes out the path or the tree of paths at the beginning of `text`; returns how much of it that was.
fn leaves(stem: &str, text: &str, paths: &mut Vec<String>) -> usize {
    let length = text
        .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .unwrap_or(text.len());
    let path = format!("{stem}{}", &text[..length]);
    if !text[length..].starts_with('{') {
        paths.push(path.trim_end_matches(':').to_owned());
        return length;
    }
    let mut at = length + 1;
    loop {
        let rest = &text[at..];
        match rest.chars().next() {
            None | Some('}') => return at + 1,
            Some(c) if c.is_alphabetic() || c == '_' => at += leaves(&path, rest, paths),
            Some(c) => at += c.len_utf8(),
        }
        if text[at..].starts_with(" as ") {
            at += 4 + text[at + 4..].find([',', '}']).unwrap_or(0);
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        match entry.is_dir() {
            true => files(&entry, found),
            false if entry.extension().is_some_and(|e| e == "rs") => found.push(entry),
            false => {}
        }
    }
}

#[test]
fn every_folder_imports_from_lower_floors_alone() {
    let floors: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(n, names)| names.iter().map(move |name| (*name, n)))
        .collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut climbs = Vec::new();
    for folder in fs::read_dir(&src)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.is_dir())
    {
        let own = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let floor = *floors
            .get(own.as_str())
            .unwrap_or_else(|| panic!("src/{own} has no floor: give it one in FLOORS"));
        let mut found = Vec::new();
        files(&folder, &mut found);
        for file in found {
            for path in imported(&production(&file)) {
                let name = path.split("::").nth(1).unwrap_or_default();
                if path.starts_with("crate::")
                    && name != own
                    && floors.get(name).is_some_and(|other| *other >= floor)
                {
                    climbs.push(format!(
                        "{} imports {name}",
                        file.strip_prefix(&src).unwrap().display()
                    ));
                }
            }
        }
    }
    climbs.sort();
    climbs.dedup();
    assert!(
        climbs.is_empty(),
        "imports that climb:\n{}",
        climbs.join("\n")
    );
}

/// The `use` declarations of a file alone.
fn declarations(code: &str) -> String {
    let mut inside = false;
    let is_one = |line: &&str| {
        let item = line.trim_start().trim_start_matches("pub").trim_start();
        let item = item.strip_prefix('(').map_or(item, |scoped| {
            scoped
                .split_once(')')
                .map_or("", |(_, item)| item.trim_start())
        });
        let one = inside || item.starts_with("use ");
        inside = one && !line.contains(';');
        one
    };
    code.lines().filter(is_one).collect::<Vec<_>>().join("\n")
}

/// The modules of a folder, each with those of the same folder that it imports. The folder's own file is `mod`.
fn modules(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = Vec::new();
    files(folder, &mut found);
    let path = |file: &PathBuf| {
        let below = file.strip_prefix(folder).unwrap().with_extension("");
        let mut parts: Vec<String> = below
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        parts.pop_if(|last| last == "mod");
        parts
    };
    let own = folder.file_name().unwrap().to_str().unwrap();
    let code: BTreeMap<Vec<String>, String> = found
        .iter()
        .filter(|file| !file.ends_with("tests.rs"))
        .map(|file| (path(file), declarations(&production(file))))
        .collect();
    let name = |parts: &[String]| match parts {
        [] => "mod".to_owned(),
        parts => parts.join("::"),
    };
    let named = |module: &Vec<String>, text: &str| {
        let mut named = BTreeSet::new();
        for import in imported(text) {
            let mut parts = import.split("::").peekable();
            let mut whole = module.clone();
            if parts.next_if_eq(&"crate").is_some() {
                whole.clear();
                if parts.next() != Some(own) {
                    continue;
                }
            }
            while let Some(up) = parts.next_if(|part| ["super", "self"].contains(part)) {
                if up == "super" {
                    whole.pop();
                }
            }
            whole.extend(parts.map(str::to_owned));
            while !code.contains_key(&whole) {
                whole.pop();
            }
            named.insert(name(&whole));
        }
        named.remove(&name(module));
        named
    };
    code.iter()
        .map(|(module, text)| (name(module), named(module, text)))
        .collect()
}

/// Whatever can be reached from a module by imports; itself as well, if it is in a circle.
fn reached<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = next.pop() {
        for named in &graph[&module] {
            if seen.insert(named.as_str()) {
                next.push(named.clone());
            }
        }
    }
    seen
}

#[test]
fn circles_inside_a_folder_are_named_with_their_reason() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut circles = BTreeSet::new();
    for folder in FLOORS.iter().copied().flatten() {
        let graph = modules(&src.join(folder));
        for module in graph.keys() {
            let circle: Vec<String> = reached(&graph, module)
                .into_iter()
                .filter(|other| reached(&graph, other).contains(module.as_str()))
                .map(str::to_owned)
                .collect();
            if circle.len() > 1 {
                circles.insert((folder.to_owned(), circle));
            }
        }
    }
    let named: BTreeSet<_> = CIRCLES
        .iter()
        .map(|(folder, modules, _)| (*folder, modules.iter().map(|m| (*m).to_owned()).collect()))
        .collect();
    let new: Vec<_> = circles.difference(&named).collect();
    let gone: Vec<_> = named.difference(&circles).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "circles without a reason: {new:#?}\nrows of CIRCLES that are no circle: {gone:#?}"
    );
}

#[test]
fn the_reader_of_imports_finds_nested_and_inline_ones() {
    let code = "use crate::{\n    config::{Config, Plan as P},\n    words::{self, times},\n};\nlet x = crate::web::page();\nuse super::super::a;\npub use self::b::*;";
    assert_eq!(
        imported(code),
        [
            "crate::config::Config",
            "crate::config::Plan",
            "crate::words::self",
            "crate::words::times",
            "crate::web::page",
            "super::super::a",
            "self::b"
        ]
    );
}
