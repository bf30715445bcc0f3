//! The roll says which providers have acknowledged, which are ready, and who is missing.

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::account_of,
    domain::{
        campaign::Campaign,
        outbox::Post,
        people::roster::{self, Answer, Ask, Claim, Provider, ProviderStanding, ReadinessCount},
        plan::notice::{Happening, Trigger},
    },
    outbox::Core,
    ports::{Outlet, Platform, RecordKind, StoreError},
    words::{
        context::{MAX_PROVIDERS_IN_REMINDER, Missing},
        mention,
        snapshot::ConfigSnapshot,
    },
};

/// An upgrade's roll as it stands.
pub struct Roll<'a> {
    pub asks: Vec<Ask>,
    pub answers: Vec<Answer>,
    pub standings: Vec<ProviderStanding<'a>>,
    pub ready_by: Option<Timestamp>,
}

impl Roll<'_> {
    /// Returns the notice that asked last.
    pub fn ask(&self) -> Option<&Ask> {
        self.asks.last()
    }

    pub fn count(&self) -> Option<ReadinessCount> {
        ReadinessCount::of(&self.standings, self.ask(), self.ready_by)
    }

    pub fn lacking(&self, claim: Claim) -> impl Iterator<Item = &Provider> {
        let lacks = move |s: &&ProviderStanding<'_>| match claim {
            Claim::Acknowledged => s.acknowledged.is_none(),
            Claim::Ready => s.ready.is_none(),
        };
        self.standings.iter().filter(lacks).map(|s| s.provider)
    }
}

/// Reads the roll of an upgrade, from its posts and the answers in the store.
pub async fn roll<'a>(
    core: &Core,
    snapshot: &'a ConfigSnapshot,
    campaign: &Campaign,
    posts: &[Post],
) -> Result<Roll<'a>, StoreError> {
    let urgency = campaign.upgrade.urgency;
    let within = snapshot
        .plan()
        .plans
        .get(&urgency)
        .map_or(SignedDuration::ZERO, |p| p.acknowledge_within);
    let asks = roster::asks(
        posts,
        |post| asking(snapshot, campaign, post),
        |asked| campaign.upgrade.answer_by(asked, within),
    );
    let entries = core
        .store
        .entries(RecordKind::Answer, &campaign.upgrade.id)
        .await?;
    let answers: Vec<Answer> = entries
        .into_iter()
        .filter_map(|e| serde_json::from_value(e.value).ok())
        .collect();
    let standings = roster::call(&snapshot.config.roster, asks.last(), &answers);
    let ready_by = roster::ready_by(&campaign.upgrade, &asks);
    Ok(Roll {
        asks,
        answers,
        standings,
        ready_by,
    })
}

pub fn asking(snapshot: &ConfigSnapshot, campaign: &Campaign, post: &Post) -> bool {
    post.is_message()
        && snapshot
            .plan()
            .notice(campaign.upgrade.urgency, &post.notice)
            .is_some_and(|n| n.acknowledge)
}

/// Lists whom a reminder names, by the roll as it is now; `None` if the post is no reminder.
pub async fn missing(
    core: &Core,
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    outlet: &Outlet,
    post: &Post,
) -> Result<Option<Vec<Missing>>, StoreError> {
    let claim = match snapshot
        .plan()
        .notice(campaign.upgrade.urgency, &post.notice)
        .map(|n| &n.trigger)
    {
        Some(Trigger::On(Happening::Unacknowledged)) => Claim::Acknowledged,
        Some(Trigger::On(Happening::Unready)) => Claim::Ready,
        _ => return Ok(None),
    };
    let posts = core.store.posts(&campaign.upgrade.id).await?;
    let roll = roll(core, snapshot, campaign, &posts).await?;
    let part: usize = post
        .occurrence
        .rsplit('-')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let named = roll
        .lacking(claim)
        .skip(part * MAX_PROVIDERS_IN_REMINDER)
        .take(MAX_PROVIDERS_IN_REMINDER);
    Ok(Some(
        named
            .map(|p| Missing {
                name: p.name.clone(),
                accounts: accounts(snapshot, outlet.platform, p),
            })
            .collect(),
    ))
}

/// Lists the accounts of a provider's people on a platform.
fn accounts(snapshot: &ConfigSnapshot, platform: Platform, provider: &Provider) -> Vec<String> {
    let people = snapshot
        .config
        .people
        .all
        .iter()
        .filter(|p| p.provider.as_ref() == Some(&provider.id));
    let markup = platform.capabilities().markup;
    let mut ids: Vec<String> = people
        .filter_map(|p| p.account(platform))
        .chain(account_of(provider, platform))
        .map(|account| mention::of_person(markup, account))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}
