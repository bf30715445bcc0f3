//! Relevance: the upgrade that a fact speaks of, and whether a post of it is another one or the same once more.

use crate::domain::{
    campaign::{
        Campaign,
        progress::{CampaignEvent, Stage},
    },
    chain::{fact::Fact, fact_kind::FactKind},
    plan::notice::Happening,
};

/// The upgrade that a chain's authorizations and troubles belong to: of those it is still to apply, the
/// one with the lowest target.
pub(super) fn owner<'a>(campaigns: &'a [Campaign], chain: &str) -> Option<&'a str> {
    let waiting = campaigns.iter().filter_map(|campaign| {
        let progress = &campaign.progress;
        let waits = progress.is_followed() && progress.chains.get(chain)?.stage < Stage::Applied;
        waits.then_some((
            campaign.upgrade.chains.get(chain)?.spec_version,
            campaign.upgrade.id.as_str(),
        ))
    });
    waiting.min().map(|(_, id)| id)
}

/// The upgrade whose runtime a chain runs, or begins to run with this block: the highest target that is reached.
pub(super) fn current<'a>(campaigns: &'a [Campaign], chain: &str, running: u32) -> Option<&'a str> {
    let open = campaigns.iter().filter(|c| c.progress.is_followed());
    let reached = open.filter_map(|campaign| {
        let target = campaign.upgrade.chains.get(chain)?.spec_version;
        (target <= running).then_some((target, campaign.upgrade.id.as_str()))
    });
    reached.max().map(|(_, id)| id)
}

/// The fact speaks of this upgrade, which is one of `campaigns`; its block's chain runs the version `running`.
pub(super) fn concerns(
    fact: &Fact,
    campaign: &Campaign,
    campaigns: &[Campaign],
    running: u32,
) -> bool {
    let upgrade = &campaign.upgrade;
    let owner = owner(campaigns, &fact.chain);
    let own = owner == Some(upgrade.id.as_str());
    match fact.kind() {
        FactKind::Reset | FactKind::Unexamined => upgrade.chains.contains_key(&fact.chain),
        FactKind::Referendum | FactKind::Scheduled | FactKind::Dispatched => {
            upgrade.referendum.as_ref().is_some_and(|referendum| {
                referendum.chain == fact.chain
                    && fact.payload.referendum() == Some(referendum.index)
            })
        }
        // Whoever has applied is told when the version is taken back.
        FactKind::Applied => {
            let progress = campaign.progress.chains.get(&fact.chain);
            own || progress.is_some_and(|chain| chain.stage >= Stage::Applied)
        }
        // Whatever the new runtime does is the matter of the upgrade that brought it.
        FactKind::TransactionVersion
        | FactKind::MigrationStarted
        | FactKind::MigrationStep
        | FactKind::MigrationCompleted
        | FactKind::MigrationFailed
        | FactKind::ChangesPending
        | FactKind::ParachainsStopped
        | FactKind::ParachainsRecovered => {
            current(campaigns, &fact.chain, running).or(owner) == Some(upgrade.id.as_str())
        }
        FactKind::Authorized
        | FactKind::AuthorizationRejected
        | FactKind::SudoFailed
        | FactKind::CodeRefused
        | FactKind::CodeStored
        | FactKind::CodeUpdated
        | FactKind::Discarded
        | FactKind::PvfCheck
        | FactKind::GoAhead
        | FactKind::VersionUnexpected
        | FactKind::Stalled
        | FactKind::Lagging
        | FactKind::Recovered
        | FactKind::Unapplied
        | FactKind::Overdue
        | FactKind::MigrationStuck
        | FactKind::Unverified
        | FactKind::Blind
        | FactKind::Sighted => own,
    }
}

/// The occurrence by which posts of an event are told apart: what can happen once has one, and trouble has another each
/// time it is seen.
pub(super) fn occurrence(event: &CampaignEvent, campaign: &Campaign) -> String {
    let (fact, detail) = (&event.fact, event.fact.detail());
    let there = format!("{}:{}:{}", fact.chain, fact.block, fact.hash);
    match event.happening {
        Happening::Authorized if !detail.is_empty() => detail,
        // A chain that joined later is not in what was said of those before it.
        Happening::Verified | Happening::Completed if campaign.upgrade.unplanned => {
            campaign.upgrade.chains.len().to_string()
        }
        Happening::Authorized
        | Happening::Unplanned
        | Happening::FirstApplied
        | Happening::Applied
        | Happening::TransactionVersion
        | Happening::MigrationStarted
        | Happening::Verified
        | Happening::Completed => "1".to_owned(),
        // Once for each window.
        Happening::Overdue | Happening::Delayed => campaign.revision.to_string(),
        Happening::Referendum | Happening::Unexamined => format!("{there}:{detail}"),
        Happening::EstimateMoved => {
            let estimate = fact.expected.as_ref().and_then(|e| e.estimate);
            let second = estimate.map_or(0, |e| e.at.as_second());
            format!("{there}:{second}")
        }
        // A kind that is new is told too often sooner than not at all.
        _ => there,
    }
}
