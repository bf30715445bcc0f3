//! Ten floors: a folder of `src` imports only from folders on lower floors, so no circle of folders can arise.

use std::{collections::BTreeMap, fs, path::Path};

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

/// The first segments below `crate` that a file names, in imports as well as in its code.
fn imported(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(tree) => {
                let (mut depth, mut start) = (0_usize, true);
                for (i, c) in tree.char_indices() {
                    if start && depth == 0 && c.is_alphabetic() {
                        names.push(word(&tree[i..]));
                        start = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
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
            for name in imported(&production(&file)) {
                if name != own
                    && floors
                        .get(name.as_str())
                        .is_some_and(|other| *other >= floor)
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

#[test]
fn the_reader_of_imports_finds_nested_and_inline_ones() {
    let code = "use crate::{\n    config::{Config, Plan},\n    words::{self, times},\n};\nlet x = crate::web::page();\nuse crate::domain::plan;";
    assert_eq!(imported(code), ["config", "words", "web", "domain"]);
}
