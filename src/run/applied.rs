//! New upgrades that are refused because their chain runs them already.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};

use crate::{
    config::{Finding, UpgradeFile},
    domain::campaign,
    outbox::Core,
    ports::Chain,
};

/// Finds new upgrades whose target a chain runs already: there would be nothing to announce but a mistake.
pub(super) async fn already_applied(
    core: &Core,
    chains: &BTreeMap<String, Arc<dyn Chain>>,
    files: &[UpgradeFile],
) -> Result<Vec<Finding>> {
    let known = core.store.upgrades().await?;
    let mut findings = Vec::new();
    let new = |f: &&UpgradeFile| {
        let own = known.iter().any(|k| k.is_called(&f.upgrade.id));
        !own && campaign::joined_by(&known, &f.upgrade).is_none()
    };
    let new: Vec<&UpgradeFile> = files.iter().filter(new).collect();
    for (name, chain) in chains
        .iter()
        .filter(|(name, _)| new.iter().any(|f| f.upgrade.chains.contains_key(*name)))
    {
        let head = chain
            .head(None)
            .await
            .with_context(|| format!("chain {name}"))?;
        let block = chain
            .block(head.number)
            .await
            .with_context(|| format!("chain {name}"))?;
        let running = block.proven_version.unwrap_or(block.spec_version);
        for UpgradeFile { upgrade, file } in &new {
            if upgrade
                .chains
                .get(name)
                .is_some_and(|target| target.spec_version <= running)
            {
                findings.push(file.wrong(
                    &["chains", name, "spec_version"],
                    format!(
                        "{} is new here, but {name} runs spec_version {running} already",
                        upgrade.id
                    ),
                    "name the version that is to come, or remove the file",
                ));
            }
        }
    }
    Ok(findings)
}
