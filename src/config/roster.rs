//! `roster/`: who runs nodes, from provider files in the layout in which networks publish them.
//!
//! One YAML file a provider, in folders such as `paseo-validators/active/` and `paseo-system-parachains/people/active/`.
//! The files are others': what they hold besides is left alone, and who left the `active` folder is no provider any more.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::yaml::{
    finding::{Finding, Severity},
    source::SourceFile,
};
use crate::{
    domain::people::roster::{Provider, ProviderNode},
    ports::{canonical_matrix_id, is_matrix_id},
};

#[derive(Deserialize, JsonSchema)]
struct RawProvider {
    identity: RosterIdentity,
    #[serde(default)]
    accounts: Option<Vec<Account>>,
}

#[derive(Deserialize, JsonSchema)]
struct RosterIdentity {
    display: String,
    /// The account on Matrix, as these files call it.
    #[serde(default)]
    riot: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Account {
    identity: NodeIdentity,
}

#[derive(Deserialize, JsonSchema)]
struct NodeIdentity {
    display: String,
}

/// The longest name that a post can take many of.
const MAX_NAME_CHARS: usize = 40;

/// The providers, by id. One that has files in several folders is one, with the nodes of all of them.
pub fn read(files: &[SourceFile], findings: &mut Vec<Finding>) -> Vec<Provider> {
    let mut all: BTreeMap<String, Provider> = BTreeMap::new();
    check_folders(files, findings);
    for file in files {
        let raw: RawProvider = match file.lenient() {
            Ok(raw) => raw,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        let name = shown(&raw.identity.display);
        if name.is_empty() {
            findings.push(file.wrong(
                &["identity", "display"],
                "this provider has no name",
                "write what people call them",
            ));
            continue;
        }
        let riot = raw
            .identity
            .riot
            .as_deref()
            .map(str::trim)
            .filter(|id| !id.is_empty() && !id.eq_ignore_ascii_case("na"))
            .map(canonical_matrix_id);
        let riot = riot.as_deref();
        if let Some(id) = riot.filter(|id| !is_matrix_id(id)) {
            let mut finding = file.wrong(
                &["identity", "riot"],
                format!("`{id}` is not an account on Matrix"),
                "ask for an id such as @anna:example.org; until then nobody answers for them there",
            );
            finding.severity = Severity::Warning;
            findings.push(finding);
        }
        let chain = chain_of(&file.name);
        let nodes = raw
            .accounts
            .unwrap_or_default()
            .into_iter()
            .map(|a| ProviderNode {
                name: shown(&a.identity.display),
                chain: chain.clone(),
            });
        let id = id_of(&file.name);
        let provider = all.entry(id.clone()).or_insert_with(|| Provider {
            id,
            name,
            matrix: None,
            nodes: Vec::new(),
        });
        provider.matrix = provider
            .matrix
            .take()
            .or_else(|| riot.filter(|id| is_matrix_id(id)).map(str::to_owned));
        for node in nodes.filter(|n| !n.name.is_empty()) {
            if !provider.nodes.contains(&node) {
                provider.nodes.push(node);
            }
        }
    }
    all.into_values().collect()
}

/// The ids of all providers who have a file, whether it can be read or not.
pub fn ids(files: &[SourceFile]) -> BTreeSet<String> {
    files.iter().map(|file| id_of(&file.name)).collect()
}

/// Checks that no provider has two files in one folder: one would be read and the other not.
fn check_folders(files: &[SourceFile], findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for file in files {
        let stem = file.name.trim_end_matches(".yml").trim_end_matches(".yaml");
        let first = *known.entry(stem.to_lowercase()).or_insert(&file.name);
        if first != file.name {
            let hint = "keep the one that holds today, and remove the other";
            let message = format!("{first} is a file of the same provider");
            findings.push(Finding::of_file(&file.name, message, hint));
        }
    }
}

/// In one line, and not too long.
fn shown(name: &str) -> String {
    name.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_NAME_CHARS)
        .collect()
}

fn parts(name: &str) -> Vec<&str> {
    name.split(['/', '\\']).collect()
}

/// `roster/paseo-validators/active/example.yml` is `example`.
fn id_of(name: &str) -> String {
    let file = parts(name).last().copied().unwrap_or(name);
    file.trim_end_matches(".yml")
        .trim_end_matches(".yaml")
        .to_owned()
}

/// The folder above `active`, where it is one of a system chain's.
fn chain_of(name: &str) -> Option<String> {
    let parts = parts(name);
    let active = parts.iter().position(|p| *p == "active")?;
    let (chain, above) = (
        parts.get(active.checked_sub(1)?)?,
        parts.get(active.checked_sub(2)?)?,
    );
    above.contains("parachain").then(|| (*chain).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile {
            name: name.into(),
            text: text.into(),
        }
    }

    #[test]
    fn files_in_the_public_layout_are_read_as_they_are() {
        let one = "identity:\n  display: One\n  email: na\n  twitter: ''\n  riot: '@one:example.org'\n  legal: x\naccounts:\n  - identity: { display: 'ONE/1' }\n    stash: 5abc\n  - identity: { display: 'ONE/2' }\n    stash: 5def\n";
        let files = [
            file("config/roster/paseo-validators/active/one.yml", one),
            file(
                "config/roster/paseo-system-parachains/people/active/one.yml",
                "identity: { display: One, riot: NA }\naccounts: [{ identity: { display: ONE/P } }]",
            ),
            file(
                "config/roster/paseo-validators/active/two.yaml",
                "identity: { display: ' Two  ', riot: two }\naccounts:\n",
            ),
        ];
        let mut findings = Vec::new();
        let all = read(&files, &mut findings);
        let node = |name: &str, chain: Option<&str>| ProviderNode {
            name: name.into(),
            chain: chain.map(Into::into),
        };
        assert_eq!(
            all[0].nodes,
            [
                node("ONE/1", None),
                node("ONE/2", None),
                node("ONE/P", Some("people"))
            ]
        );
        assert_eq!(
            (all[0].id.as_str(), all[0].matrix.as_deref()),
            ("one", Some("@one:example.org"))
        );
        assert_eq!(
            (all[1].name.as_str(), all[1].matrix.as_deref(), all.len()),
            ("Two", None, 2)
        );
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("config/roster/paseo-validators/active/two.yaml:1:")
                && said[0].contains("warning: `two` is not an account on Matrix"),
            "{said:?}"
        );
        let wrong = [
            file("x.yml", "identity: 7"),
            file("y.yml", "identity: { display: '' }"),
            file("z.yml", "identity: ["),
            file("Z.yaml", "identity: { display: Z }"),
        ];
        let mut findings = Vec::new();
        read(&wrong, &mut findings);
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        for words in [
            "x.yml:1:11: error: this is the number 7 for `identity`, not keys with values\n    hint: write its keys below it, such as `display: …`",
            "y.yml:1:13: error: this provider has no name",
            "z.yml:1:11: error: this is a list for `identity`, not keys with values",
            "Z.yaml: error: z.yml is a file of the same provider",
        ] {
            assert!(said.iter().any(|said| said.starts_with(words)), "{said:#?}");
        }
        assert_eq!(said.len(), 4);
        assert_eq!(ids(&wrong).len(), 4);
    }
}
