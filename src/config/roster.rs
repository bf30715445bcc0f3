//! `roster/`: who runs nodes, from provider files in the layout in which networks publish them.
//!
//! One YAML file a provider, in folders such as `paseo-validators/active/` and `paseo-system-parachains/people/active/`.
//! The files are others': what they hold besides is left alone, and who left the `active` folder is no provider any more.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::yaml::{
    finding::{Finding, Severity},
    source::SourceFile,
};
use crate::{
    domain::people::roster::{Provider, ProviderNode},
    ports::is_matrix_id,
};

#[derive(Deserialize)]
struct RawProvider {
    identity: RosterIdentity,
    #[serde(default)]
    accounts: Option<Vec<Account>>,
}

#[derive(Deserialize)]
struct RosterIdentity {
    display: String,
    /// The account on Matrix, as these files call it.
    #[serde(default)]
    riot: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    identity: NodeIdentity,
}

#[derive(Deserialize)]
struct NodeIdentity {
    display: String,
}

/// The longest name that a post can take many of.
const MAX_NAME_CHARS: usize = 40;

/// The providers, by id. One that has files in several folders is one, with the nodes of all of them.
pub fn read(files: &[SourceFile], findings: &mut Vec<Finding>) -> Vec<Provider> {
    let mut all: BTreeMap<String, Provider> = BTreeMap::new();
    for file in files {
        let raw: RawProvider = match serde_yaml::from_str(&file.text) {
            Ok(raw) => raw,
            Err(error) => {
                let place = error.location().map_or((1, 1), |l| (l.line(), l.column()));
                let hint = "a provider's file has identity: { display, riot } and accounts: [{ identity: { display } }]";
                findings.push(file.at(place, error.to_string(), hint.to_owned()));
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
            .filter(|id| !id.is_empty() && !id.eq_ignore_ascii_case("na"));
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
        let wrong = read(
            &[
                file("x.yml", "identity: 7"),
                file("y.yml", "identity: { display: '' }"),
            ],
            &mut findings,
        );
        assert!(wrong.is_empty() && findings.len() == 3, "{findings:?}");
    }
}
