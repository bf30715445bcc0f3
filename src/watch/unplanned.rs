//! The upgrade that nobody announced: the chain shows one, and no file speaks of it.
//!
//! herald then opens a campaign of its own, with what is known. Chains that follow within a day join it,
//! and so does a file that is written later: what was posted stays posted.

use jiff::{SignedDuration, Timestamp};

use super::relevance::owner;
use crate::{
    domain::{
        campaign::{
            Campaign,
            progress::{CampaignEvent, ChainProgress, Stage, State},
            upgrade::{Method, Target, Upgrade, Urgency, Window},
        },
        chain::{fact::Fact, fact_kind::FactKind, memory::Memory},
        plan::notice::Happening,
    },
    outbox::Core,
};

/// Another chain that shows new code in this time belongs to the same campaign.
const JOINS_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// A campaign that was opened, or widened by a chain, and the fact that did it.
pub struct Opening {
    pub upgrade: String,
    fact: Fact,
    /// The campaign was opened just now, and not only widened.
    new: bool,
}

/// Adds a campaign to `campaigns`, or a chain to an open one, if `facts` show an upgrade of `chain` that none of them speaks of.
pub fn open(
    core: &Core,
    campaigns: &mut Vec<Campaign>,
    chain: &str,
    memory: &Memory,
    facts: &[Fact],
) -> Option<Opening> {
    let shows = |f: &&Fact| {
        f.chain == chain
            && matches!(
                f.kind(),
                FactKind::Authorized
                    | FactKind::CodeStored
                    | FactKind::CodeUpdated
                    | FactKind::Applied
            )
    };
    let fact = facts.iter().find(shows)?;
    if owner(campaigns, chain).is_some() || known_already(campaigns, chain, fact) {
        return None;
    }
    let now = core.clock.now();
    let version = facts
        .iter()
        .find(|f| f.kind() == FactKind::Applied && f.chain == chain)
        .map_or(memory.running + 1, |f| f.spec_version);
    let target = Target {
        spec_version: version,
        code_hash: None,
    };
    let may_join = |campaign: &Campaign| {
        campaign.upgrade.unplanned
            && now.duration_since(campaign.accepted) < JOINS_WITHIN
            && campaign.progress.state < State::Completed
            && campaign.progress.is_followed()
            && !campaign.upgrade.chains.contains_key(chain)
    };
    if let Some(campaign) = campaigns.iter_mut().find(|campaign| may_join(campaign)) {
        campaign.upgrade.chains.insert(chain.to_owned(), target);
        campaign
            .progress
            .chains
            .insert(chain.to_owned(), ChainProgress::default());
        campaign.upgrade.title = title(&campaign.upgrade);
        return Some(Opening {
            upgrade: campaign.upgrade.id.clone(),
            fact: fact.clone(),
            new: false,
        });
    }
    let upgrade = campaign(chain, target, fact, now);
    let id = upgrade.id.clone();
    campaigns.push(Campaign::new(upgrade, now));
    Some(Opening {
        upgrade: id,
        fact: fact.clone(),
        new: true,
    })
}

/// An upgrade that went through this chain already may have its version taken back: that is its own matter.
fn known_already(campaigns: &[Campaign], chain: &str, fact: &Fact) -> bool {
    let open = campaigns
        .iter()
        .filter(|campaign| campaign.progress.is_followed());
    let past = open.filter(|campaign| {
        campaign
            .progress
            .chains
            .get(chain)
            .is_some_and(|c| c.stage >= Stage::Applied)
    });
    let down = |campaign: &Campaign| {
        fact.kind() == FactKind::Applied
            && campaign
                .upgrade
                .chains
                .get(chain)
                .is_some_and(|t| fact.spec_version < t.spec_version)
    };
    past.into_iter().any(down)
}

fn campaign(chain: &str, target: Target, fact: &Fact, now: Timestamp) -> Upgrade {
    let window = Window {
        opens: now,
        closes: now.checked_add(JOINS_WITHIN).unwrap_or(now),
    };
    let mut upgrade = Upgrade {
        urgency: Urgency::Emergency,
        method: Method::Unknown,
        unplanned: true,
        ..Upgrade::new(
            format!("unplanned-{chain}-{}", fact.block),
            "",
            window,
            [(chain.to_owned(), target)].into(),
        )
    };
    upgrade.title = title(&upgrade);
    if fact.is_downgrade() {
        upgrade.title = format!("Unannounced downgrade of {chain}");
    }
    upgrade
}

fn title(upgrade: &Upgrade) -> String {
    let names: Vec<&str> = upgrade.chains.keys().map(String::as_str).collect();
    match names.as_slice() {
        [one] => format!("Unannounced upgrade of {one}"),
        _ => format!("Unannounced upgrade of {} chains", names.len()),
    }
}

/// Nothing came of it within its day, and no file speaks of it: nobody waits any more.
pub fn is_over(campaign: &Campaign, now: Timestamp) -> bool {
    campaign.upgrade.unplanned
        && campaign.progress.state < State::Applied
        && now.duration_since(campaign.accepted) > JOINS_WITHIN
}

/// The first word on a campaign is that nobody announced it; that takes the place of "authorized".
pub fn introduce(events: &mut Vec<CampaignEvent>, opening: &Opening) {
    if opening.new {
        events.retain(|e| e.happening != Happening::Authorized);
        events.insert(
            0,
            CampaignEvent {
                happening: Happening::Unplanned,
                fact: opening.fact.clone(),
            },
        );
    }
}

/// Sets the target of an unannounced upgrade, which is known when it runs.
pub fn learn_target(campaign: &mut Campaign, chain: &str, running: u32) {
    let applied = campaign
        .progress
        .chains
        .get(chain)
        .is_some_and(|c| c.stage >= Stage::Applied);
    if campaign.upgrade.unplanned
        && applied
        && let Some(target) = campaign.upgrade.chains.get_mut(chain)
    {
        target.spec_version = running;
    }
}
