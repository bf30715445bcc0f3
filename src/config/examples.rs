//! Finds what is still the example's: addresses, accounts and files that were copied and not made one's own. Sent out in
//! public it would announce an upgrade that nobody plans.

use std::{collections::BTreeSet, sync::LazyLock};

use super::{
    files::ConfigFiles,
    yaml::{finding::Finding, source::SourceFile},
};

/// Ids of the example begin like this; the rest numbers them.
const EXAMPLE_IDS: &str = "1100000000000000";
/// Nobody can own these names (RFC 2606).
const EXAMPLE_HOSTS: [&str; 3] = ["example.org", "example.net", "example.com"];

/// The names of the example: its addresses, accounts and ids.
static EXAMPLE_NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let files = ConfigFiles::embedded();
    let names = parts_with_names(&files);
    names
        .flat_map(|file| names_in(&file.text))
        .map(|(_, name)| name.to_owned())
        .filter(|name| {
            name.contains(EXAMPLE_IDS) || EXAMPLE_HOSTS.iter().any(|host| name.contains(host))
        })
        .collect()
});

/// Lists what of these files is still the example's, once for each file.
pub fn examples(files: &ConfigFiles) -> Vec<Finding> {
    let embedded = ConfigFiles::embedded();
    let copied = |file: &SourceFile| {
        let is_same = |example: &SourceFile| example.text.trim() == file.text.trim();
        parts_of_people(&embedded).any(is_same)
    };
    let (unchanged, changed): (Vec<_>, Vec<_>) = parts_with_names(files)
        .partition(|file| parts_of_people(files).any(|part| part == *file) && copied(file));
    let unchanged = unchanged.into_iter().map(|file| {
        let message = "this file is the example's: what it says is invented".to_owned();
        file.at((1, 1), message, "write your own, or remove it".to_owned())
    });
    let changed = changed.into_iter().filter_map(|file| {
        let is_example = |(_, name): &((usize, usize), &str)| EXAMPLE_NAMES.contains(*name);
        let found: Vec<_> = names_in(&file.text).filter(is_example).collect();
        let (place, name) = found.first()?;
        let more = match found.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more in this file"),
        };
        let message = format!("`{name}` is the example's{more}");
        Some(file.at(*place, message, "write your own in its place".to_owned()))
    });
    unchanged.chain(changed).collect()
}

/// The files that name places, accounts and addresses.
fn parts_with_names(files: &ConfigFiles) -> impl Iterator<Item = &SourceFile> {
    std::iter::once(&files.deployment).chain(parts_of_people(files))
}

/// The files about upgrades and people.
fn parts_of_people(files: &ConfigFiles) -> impl Iterator<Item = &SourceFile> {
    let optional = [&files.people, &files.help].into_iter().flatten();
    files.upgrades.iter().chain(&files.roster).chain(optional)
}

/// The words of a YAML text outside of comments, each with its line and column.
fn names_in(text: &str) -> impl Iterator<Item = ((usize, usize), &str)> {
    text.lines().zip(1..).flat_map(|(line, number)| {
        let is_comment = line.trim_start().starts_with('#');
        let written = line.split(" #").next().filter(|_| !is_comment);
        let is_between = |c: char| c.is_whitespace() || "\"',[]{}".contains(c);
        let words = written.unwrap_or_default().split(is_between);
        words.filter(|word| !word.is_empty()).map(move |word| {
            let before = line.split(word).next().unwrap_or_default();
            ((number, before.chars().count() + 1), word)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded_with(change: impl FnOnce(&mut ConfigFiles)) -> Vec<String> {
        let mut files = ConfigFiles::embedded();
        change(&mut files);
        let found = examples(&files);
        found
            .iter()
            .map(|f| format!("{}:{}:{}: {}", f.file, f.line, f.column, f.message))
            .collect()
    }

    /// The example's files with other names, as somebody has who wrote their own.
    fn owned(text: &str) -> String {
        let hosts = text.replace("example.", "harbour.");
        hosts.replace(EXAMPLE_IDS, "1200000000000000") + "# ours\n"
    }

    #[test]
    fn the_example_is_found_in_each_file_that_names_somebody() {
        let found = embedded_with(|_| ());
        assert_eq!(
            found[..3],
            [
                "config/upgrades/v2.3.1.yaml:1:1: this file is the example's: what it says is invented",
                "config/roster/paseo-system-parachains/people/active/nightjar.yml:1:1: this file is the example's: what it says is invented",
                "config/roster/paseo-validators/active/harbour.yml:1:1: this file is the example's: what it says is invented",
            ]
        );
        assert_eq!(found.len(), 8, "{found:#?}");
        let named = "config/herald.yaml:12:11: `1100000000000000001` is the example's, and ";
        assert!(found[7].starts_with(named), "{found:#?}");
    }

    #[test]
    fn one_name_that_is_left_is_found_and_others_of_the_same_hosts_are_not() {
        let found = embedded_with(|files| {
            let parts = [&mut files.deployment]
                .into_iter()
                .chain(&mut files.upgrades);
            let optional = [&mut files.people, &mut files.help].into_iter().flatten();
            for file in parts.chain(&mut files.roster).chain(optional) {
                file.text = owned(&file.text);
            }
            let words = "\n# https://matrix.example.org\nlater: https://matrix.example.org # and more\nother: wss://own.example.org\n";
            files.deployment.text.push_str(words);
        });
        let [found] = &found[..] else {
            panic!("one is found: {found:#?}")
        };
        assert!(
            found.ends_with(":8: `https://matrix.example.org` is the example's"),
            "{found}"
        );
    }
}
