//! A bulletin is what everybody may know of an upgrade: the page, the feeds and the API show it.
//!
//! Nothing is in it that was not said in public: an upgrade appears with its first public post,
//! words to be approved appear once they are out, and people who answered are not named.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    domain::{
        campaign::{
            Campaign,
            upgrade::{Target, Urgency},
        },
        outbox::{Action, Body, Operation, Post, PostKey, PostState, cut},
        people::feedback::{FeedbackCount, Summary},
        plan::{
            language::DEFAULT_LOCALE,
            notice::{Notice, Phase},
        },
    },
    outbox::Core,
    ports::{Markup, Platform, Readers, StoreError},
    words::{as_words, card, context, picture::BlockTimes, snapshot::ConfigSnapshot},
};

/// A title in the timeline has at most this many characters.
const MAX_TITLE_CHARS: usize = 120;

/// One upgrade, with what was said and what will be said of it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Bulletin {
    pub id: String,
    pub title: String,
    pub summary: String,
    pub urgency: Urgency,
    /// scheduled, planned, delayed, authorized, applying, applied, verified, completed, cancelled or failed
    pub state: &'static str,
    /// The reason why it was cancelled, or has failed.
    pub reason: Option<String>,
    /// The reason why it is on hold, as long as nothing is applied.
    pub no_go: Option<String>,
    /// True until it is completed and its feedback counted, or until it is given up.
    pub under_way: bool,
    pub window: WindowView,
    pub chains: Vec<ChainState>,
    pub duties: Vec<DutyView>,
    pub changes: Vec<String>,
    pub links: Vec<LinkView>,
    /// The readiness of the providers on the roster, once they were asked.
    pub readiness: Option<Readiness>,
    /// The feedback, once it was counted.
    pub feedback: Option<FeedbackView>,
    #[schemars(with = "Option<String>")]
    pub feedback_closes: Option<Timestamp>,
    /// The notices, by time.
    pub timeline: Vec<EntryView>,
    /// True if there is a picture of the blocks around the upgrade.
    pub pictured: bool,
    /// A number that is raised whenever the window changes or the upgrade is called off.
    pub sequence: u32,
    /// The time at which it was accepted.
    #[schemars(with = "String")]
    pub accepted: Timestamp,
    #[serde(skip)]
    pub picture: Option<BlockTimes>,
    /// True if nobody announced it.
    #[serde(skip)]
    pub unplanned: bool,
    /// The colour of its state, in red, green and blue.
    #[serde(skip)]
    pub colour: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WindowView {
    #[schemars(with = "String")]
    pub opens: Timestamp,
    #[schemars(with = "String")]
    pub closes: Timestamp,
    /// False while people still choose, and where nobody announced one; the window is then the first they choose from, or
    /// when the upgrade was seen.
    pub set: bool,
    /// The number of times it was moved.
    pub moved: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChainState {
    pub name: String,
    /// waiting, authorized, applying, applied, verified or completed
    pub stage: &'static str,
    /// The spec_version proven to run.
    pub runs: Option<u32>,
    /// The spec_version that it is to run.
    pub target: u32,
    /// The block that proved it.
    pub applied_in: Option<u64>,
    /// The steps of a migration that are done, and of how many where that is known.
    pub migration: Option<(u64, Option<u64>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DutyView {
    /// validators, developers or users
    pub audience: &'static str,
    pub required: bool,
    pub what: String,
    pub node_version: Option<String>,
    #[schemars(with = "Option<String>")]
    pub by: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinkView {
    pub name: String,
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Readiness {
    pub of: u32,
    pub acknowledged: u32,
    pub ready: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FeedbackView {
    pub replies: u32,
    pub reactions: Vec<Reactions>,
    pub audiences: Vec<AudienceView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AudienceView {
    /// The audience; null for people whom nobody has listed.
    pub audience: Option<&'static str>,
    pub replies: u32,
    pub reactions: Vec<Reactions>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reactions {
    pub emoji: String,
    pub meaning: String,
    pub count: u32,
}

/// One notice, in all the channels it goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryView {
    /// The key of the first of its posts, which stays the same.
    pub key: String,
    pub notice: String,
    pub phase: &'static str,
    pub title: String,
    pub posted: bool,
    /// The time at which it was posted first, or will be.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The time at which its words were changed last, if they were.
    #[schemars(with = "Option<String>")]
    pub changed: Option<Timestamp>,
    /// The words without any markup, once they are out.
    pub text: Option<String>,
    pub places: Vec<PlaceView>,
    #[serde(skip)]
    pub body: Option<(Platform, Body)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlaceView {
    pub channel: String,
    /// discord or matrix
    pub platform: &'static str,
    pub link: Option<String>,
}

/// Lists every upgrade that was spoken of in public: those under way first, then the newest.
pub async fn all(core: &Core, now: Timestamp) -> Result<Vec<Bulletin>, StoreError> {
    let snapshot = core.snapshot();
    let mut all = Vec::new();
    for campaign in core.store.upgrades().await? {
        if campaign.upgrade.unplanned && snapshot.plan().unplanned == Readers::Operators {
            continue;
        }
        let posts = core.store.posts(&campaign.upgrade.id).await?;
        all.extend(bulletin(&snapshot, &campaign, &posts, now));
    }
    all.sort_by_key(|b: &Bulletin| {
        (
            !b.under_way,
            if b.under_way {
                b.window.opens.as_second()
            } else {
                -b.window.opens.as_second()
            },
        )
    });
    Ok(all)
}

/// Makes the bulletin of one upgrade, if anything was said of it in public.
pub fn bulletin(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    posts: &[Post],
    now: Timestamp,
) -> Option<Bulletin> {
    let (upgrade, progress) = (&campaign.upgrade, &campaign.progress);
    let public = |p: &&Post| snapshot.config.deployment.is_public(&p.channel);
    let posts: Vec<&Post> = posts.iter().filter(public).collect();
    posts
        .iter()
        .find(|p| p.is_message() && p.state == PostState::Sent)?;
    let duties = upgrade.duties.iter().map(|(audience, duty)| DutyView {
        audience: audience.name(),
        required: duty.required,
        what: duty.what.clone(),
        node_version: duty.node_version.clone(),
        by: duty.by,
    });
    let picture = context::pictured(progress);
    Some(Bulletin {
        id: upgrade.id.clone(),
        title: upgrade.title.clone(),
        summary: upgrade.summary.clone(),
        urgency: upgrade.urgency,
        state: campaign.standing(),
        reason: upgrade.reason().map(str::to_owned),
        no_go: campaign.on_hold().map(str::to_owned),
        under_way: !progress.finished() && !upgrade.given_up(),
        window: WindowView {
            opens: upgrade.window.opens,
            closes: upgrade.window.closes,
            set: upgrade.poll.is_none() && !upgrade.unplanned,
            moved: campaign.moved(),
        },
        chains: chains(campaign),
        duties: duties.collect(),
        changes: upgrade.changes.clone(),
        links: upgrade
            .links
            .iter()
            .map(|l| LinkView {
                name: l.name.clone(),
                url: l.url.clone(),
            })
            .collect(),
        readiness: progress.roll.as_ref().map(|c| Readiness {
            of: c.of,
            acknowledged: c.acknowledged,
            ready: c.ready,
        }),
        feedback: progress.feedback.as_ref().map(feedback),
        feedback_closes: context::closes(progress, snapshot.plan()),
        timeline: timeline(snapshot, campaign, &posts, now),
        pictured: picture.is_some(),
        sequence: campaign.sequence(),
        accepted: campaign.accepted,
        picture,
        unplanned: upgrade.unplanned,
        colour: card::colour(campaign),
    })
}

fn chains(campaign: &Campaign) -> Vec<ChainState> {
    let state = |(name, target): (&String, &Target)| {
        let seen = campaign.progress.chains.get(name);
        let migration = seen.and_then(|c| c.migration.as_ref());
        ChainState {
            name: name.clone(),
            stage: seen.map(|c| c.stage).unwrap_or_default().name(),
            runs: seen.and_then(|c| c.spec_version),
            target: target.spec_version,
            applied_in: seen.and_then(|c| c.applied.as_ref()).map(|f| f.block),
            migration: migration.map(|m| (m.done.into(), m.total.map(u64::from))),
        }
    };
    campaign.upgrade.chains.iter().map(state).collect()
}

fn feedback(summary: &Summary) -> FeedbackView {
    let audiences = summary.audiences.iter().map(|a| AudienceView {
        audience: a.audience.map(|a| a.name()),
        replies: a.replies,
        reactions: reactions(&a.reactions),
    });
    FeedbackView {
        replies: summary.replies,
        reactions: reactions(&summary.reactions),
        audiences: audiences.collect(),
    }
}

fn reactions(counts: &[FeedbackCount]) -> Vec<Reactions> {
    let reactions = counts.iter().map(|c| Reactions {
        emoji: c.emoji.clone(),
        meaning: c.meaning.clone(),
        count: c.count,
    });
    reactions.collect()
}

/// Lists each notice once, without the status board, since the page is one itself.
fn timeline(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    posts: &[&Post],
    now: Timestamp,
) -> Vec<EntryView> {
    let mut groups: BTreeMap<(&str, &str, u32), Vec<&Post>> = BTreeMap::new();
    // The newest edit or mark has the words that a post shows now.
    let mut edits: Vec<&Post> = posts
        .iter()
        .filter(|p| p.operation.rules().action == Action::Edit)
        .copied()
        .collect();
    edits.retain(|p| p.state == PostState::Sent);
    edits.sort_by_key(|p| p.sent);
    let edited: BTreeMap<PostKey, &Post> = edits
        .iter()
        .map(|p| (p.key_beside(Operation::Post, 0), *p))
        .collect();
    for post in posts.iter().filter(|p| p.is_message()) {
        let is_to_come = matches!(post.state, PostState::Planned | PostState::Sending)
            && !campaign.upgrade.given_up();
        if is_to_come || post.state == PostState::Sent {
            groups
                .entry((&post.notice, &post.occurrence, post.revision))
                .or_default()
                .push(post);
        }
    }
    let mut timeline: Vec<EntryView> = groups
        .into_values()
        .filter_map(|group| entry(snapshot, campaign, &group, &edited, now))
        .collect();
    timeline.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
    timeline
}

fn entry(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    group: &[&Post],
    edited: &BTreeMap<PostKey, &Post>,
    now: Timestamp,
) -> Option<EntryView> {
    let first = group.iter().min_by_key(|p| &p.channel)?;
    let notice = snapshot
        .plan()
        .notice(campaign.upgrade.urgency, &first.notice);
    if notice.is_some_and(|n| n.board) {
        return None;
    }
    let channel = |p: &Post| snapshot.config.deployment.channels.get(&p.channel);
    // English words are preferred, and then those that a platform formats.
    let preference = |p: &&&Post| {
        let in_english = channel(p).is_some_and(|c| c.locale == DEFAULT_LOCALE);
        (
            !in_english,
            p.body.as_ref().is_none_or(|b| b.html.is_none()),
            p.channel.clone(),
        )
    };
    let said = group
        .iter()
        .filter(|p| p.state == PostState::Sent && p.body.is_some())
        .min_by_key(preference);
    let edit = |p: &&&Post| edited.get(&p.key).copied();
    let at = group
        .iter()
        .filter_map(|p| p.sent)
        .min()
        .or_else(|| group.iter().map(|p| p.due).min())?;
    let body = said.and_then(|p| {
        let newest = edit(&p).and_then(|edit| edit.body.as_ref());
        Some((
            channel(p)?.platform,
            without_mentions(newest.or(p.body.as_ref())?),
        ))
    });
    let first_words = said.and_then(|p| Some((channel(p)?.platform, p.body.as_ref()?)));
    let title = match (first_words, notice) {
        (Some((platform, body)), _) => first_line(&words_of(platform, body, at)),
        (None, Some(notice)) => planned_title(snapshot, campaign, notice, at, now),
        (None, None) => None,
    };
    let place = |p: &&Post| {
        Some(PlaceView {
            channel: p.channel.clone(),
            platform: channel(p)?.platform.name(),
            link: p.link.clone(),
        })
    };
    let phase = notice.map_or(Phase::Preparation, |n| n.phase).name();
    Some(EntryView {
        key: first.key.0.clone(),
        notice: first.notice.clone(),
        phase,
        title: cut(
            &title.unwrap_or_else(|| match notice {
                Some(notice) => notice.title.clone(),
                None => first.notice.clone(),
            }),
            MAX_TITLE_CHARS,
        ),
        posted: said.is_some(),
        at,
        changed: group.iter().filter_map(|p| edit(&p)?.sent).max(),
        text: body
            .as_ref()
            .map(|(platform, body)| words_of(*platform, body, at)),
        places: group.iter().filter_map(place).collect(),
        body,
    })
}

/// Removes Discord's mentions: a page notifies nobody, and to its readers the numbers say nothing.
fn without_mentions(body: &Body) -> Body {
    let mark = |id: &String| {
        if id.starts_with('@') {
            format!("<{id}>")
        } else {
            format!("<@&{id}>")
        }
    };
    let text = body
        .mentions
        .iter()
        .fold(body.text.clone(), |text, id| text.replace(&mark(id), ""));
    Body {
        text: text.trim_end().to_owned(),
        ..body.clone()
    }
}

/// Writes the title of a notice to come, unless people still have to agree to it.
fn planned_title(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    notice: &Notice,
    due: Timestamp,
    now: Timestamp,
) -> Option<String> {
    if notice.approval.persons > 0 {
        return None;
    }
    let moment = context::RenderInput {
        due: Some(due),
        ..context::RenderInput::default()
    };
    let words = context::of(campaign, Some(notice), &snapshot.config, &moment).into();
    let text = snapshot
        .renderer
        .markdown(&notice.template, DEFAULT_LOCALE, &words)
        .ok()?;
    first_line(&snapshot.renderer.plain(&text, due.max(now)))
}

/// The words of a body without any markup, as they were read at `at`.
fn words_of(platform: Platform, body: &Body, at: Timestamp) -> String {
    match platform.capabilities().markup {
        Markup::Discord => as_words(&body.text, at),
        Markup::Matrix | Markup::Plain => body.text.clone(),
    }
}

/// Returns the first line that says something, without the mark of a quote or of an item.
fn first_line(text: &str) -> Option<String> {
    let marks = |line: &str| line.starts_with("> ") || line.starts_with("• ");
    text.lines()
        .map(|line| {
            let mut line = line.trim();
            while marks(line) {
                line = line.trim_start_matches(['>', '•']).trim_start();
            }
            line
        })
        .find(|line| !line.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_calls_nobody() {
        let mentions = vec![
            "1100000000000000011".to_owned(),
            "@1200000000000000001".to_owned(),
            "@room".to_owned(),
        ];
        let body = Body {
            text: "Look.\n\n<@&1100000000000000011> <@1200000000000000001>".into(),
            mentions,
            ..Body::default()
        };
        assert_eq!(without_mentions(&body).text, "Look.");
    }

    #[test]
    fn a_title_is_the_first_line_in_words_whatever_the_platform() {
        let at: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        let title = |platform, text: &str| {
            let body = Body {
                text: text.into(),
                ..Body::default()
            };
            first_line(&words_of(platform, &body, at))
        };
        let on_discord = [
            (
                "## One \\*two\\*: **three**\n\nmore",
                Some("One *two*: three"),
            ),
            ("\n> - `a` \\\\ b", Some("a \\ b")),
            ("## Opens <t:1796130000:R>", Some("Opens in 1 hour")),
            (
                "<t:1796130000:F> · Tue 1 Dec 2026, 14:00 CET (13:00 UTC)",
                Some("Tue 1 Dec 2026, 14:00 CET (13:00 UTC)"),
            ),
            (
                "See [the \\[new\\] page](<https://example.org/a_b>)",
                Some("See the [new] page (https://example.org/a_b)"),
            ),
            (
                "<https://example.org/a_b>\\] x",
                Some("https://example.org/a_b] x"),
            ),
            ("``a`b`` @\u{200b}everyone", Some("a`b @everyone")),
            ("\n \n", None),
        ];
        for (text, wanted) in on_discord {
            assert_eq!(title(Platform::Discord, text).as_deref(), wanted, "{text}");
        }
        for text in ["2*2 #5 a\\.b `c`", "<t:1:R>"] {
            assert_eq!(title(Platform::Matrix, text).as_deref(), Some(text));
        }
        assert_eq!(
            title(Platform::Matrix, "> **New**\n").as_deref(),
            Some("**New**")
        );
    }
}
