//! Every fact of every recording, beside what the chain itself shows.
//!
//! The tables were checked by hand against the recorded bytes. Their left half is checked again by each run, with polkadot.js
//! (`tests/devnet/shows.mjs`), so they are no copy of what herald said; their right half is what herald must tell, and nothing else.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::{devnet::shown_by_recording, repo};

/// A line: block, hash, what the block shows; then the fact that is told of it: kind, version, detail. A thing nothing is told of
/// has no right half. A fact that nothing recorded shows would have `-` in the place of what.
const TABLES: [(&str, &str, &str); 5] = [
    (
        "mini-authorize",
        "devnet",
        "3 0x6e1402d2 System.UpgradeAuthorized  authorized 1000001 0x3b831cd885e1d10044dc439dd42156367a2c3ea5445277ce66d81617598e14bc
         3 0x6e1402d2 Sudo.Sudid
         3 0x6e1402d2 System.AuthorizedUpgrade
         5 0x0f94c969 System.CodeUpdated        code_updated 1000001
         5 0x0f94c969 spec_version
         6 0x871fdb6c System.LastRuntimeUpgrade applied 1000002 from 1000001",
    ),
    (
        "mini-setcode",
        "devnet",
        "3 0x4c18576a System.CodeUpdated        code_updated 1000001
         3 0x4c18576a Sudo.Sudid
         3 0x4c18576a spec_version
         4 0xdac17392 System.LastRuntimeUpgrade applied 1000002 from 1000001",
    ),
    (
        // system_version 3: the code moves in a block later, which shows no event of it
        "mini-sv3-setcode",
        "devnet",
        "3 0xb7302b2b System.CodeUpdated        code_updated 1000001
         3 0xb7302b2b Sudo.Sudid
         4 0xf745345a spec_version
         5 0x23a9833d System.LastRuntimeUpgrade applied 1000002 from 1000001",
    ),
    (
        "paseo-1001002-to-1002000",
        "paseo",
        "3 0x7d03348d System.CodeUpdated        code_updated 1001002
         3 0x7d03348d Sudo.Sudid
         3 0x7d03348d spec_version
         4 0x07f7a4f9 System.LastRuntimeUpgrade applied 1002000 from 1001002",
    ),
    (
        // a parachain; authorized in storage, so that no event tells of it. No migration over several blocks ran.
        "people-paseo-1002006-to-2000006",
        "paseo-people",
        "2 0x2a1e94fa System.AuthorizedUpgrade  authorized 1002006 0x9bf5a411ae9535507c5cb374bbad89bb307cfc05b3c045dc04ce191376eb1353
         3 0x5c99f143 ParachainSystem.ValidationFunctionStored  code_stored 1002006
         4 0x5dddd3ef System.CodeUpdated        code_updated 1002006 relay block 1008
         4 0x5dddd3ef ParachainSystem.ValidationFunctionApplied
         4 0x5dddd3ef spec_version
         5 0xfbb317e6 System.LastRuntimeUpgrade applied 2000006 from 1002006",
    ),
];

/// Block, hash and the rest of a table's line.
fn cells(line: &str) -> Option<(&str, &str, &str, String)> {
    let mut words = line.split_whitespace();
    let (block, hash, what) = (words.next()?, words.next()?, words.next()?);
    Some((block, hash, what, words.collect::<Vec<_>>().join(" ")))
}

/// Such a hash in as many digits as the tables have.
fn short(hash: &str) -> &str {
    hash.get(..10).unwrap_or(hash)
}

#[test]
fn every_recording_tells_exactly_the_facts_its_blocks_show() -> Result<()> {
    let recorded = std::fs::read_dir(repo().join("tests/recordings"))?.count();
    assert_eq!(recorded, TABLES.len(), "a table for each recording");
    for (name, chain, table) in TABLES {
        let file = repo().join(format!("tests/recordings/{name}.json"));
        let lines: Vec<_> = table.lines().filter_map(cells).collect();

        let expected: Vec<String> = lines
            .iter()
            .filter(|l| l.2 != "-")
            .map(|(block, hash, what, _)| format!("{block} {hash} {what}"))
            .collect();
        let shown: Vec<String> = shown_by_recording(&file)?
            .iter()
            .map(|(block, hash, what)| format!("{block} {} {what}", short(hash)))
            .collect();
        assert_eq!(shown, expected, "{name}: what its blocks show");

        let expected: Vec<String> = lines
            .iter()
            .filter(|l| !l.3.is_empty())
            .map(|(block, hash, _, fact)| format!("{block} {hash} {chain} {fact}"))
            .collect();
        let told: Vec<String> = facts(&file)?.iter().map(line).collect();
        assert_eq!(told, expected, "{name}: what is told");
    }
    Ok(())
}

fn line(fact: &Value) -> String {
    let text = |field: &str| fact[field].as_str().unwrap_or_default();
    let line = format!(
        "{} {} {} {} {} {}",
        fact["block"],
        short(text("hash")),
        text("chain"),
        text("kind"),
        fact["spec_version"],
        text("detail")
    );
    line.trim_end().to_owned()
}

/// The facts of a recording, in the order they were told in; each has the whole hash of its own block.
fn facts(file: &std::path::Path) -> Result<Vec<Value>> {
    let recording: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let mut herald = Command::new(env!("CARGO_BIN_EXE_herald"));
    herald
        .args(["rehearse", "--once", "--json", "--recording"])
        .arg(file)
        .current_dir(repo())
        .env_remove("RUST_LOG");
    let output = herald.output()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let facts: Vec<Value> = lines
        .into_iter()
        .filter(|l| l["kind"].is_string())
        .collect();
    for fact in &facts {
        let number = usize::try_from(fact["block"].as_u64().context("a block's number")?)?;
        assert_eq!(
            fact["hash"], recording["blocks"][number]["hash"],
            "the recording's own block {number}"
        );
    }
    Ok(facts)
}
