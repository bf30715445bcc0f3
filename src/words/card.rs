//! Where an upgrade stands, at a glance: the card below a post, and the event in a server's calendar.

use jiff::Timestamp;

use super::context;
use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::post::{CalendarEvent, CalendarEventStage, Card, cut},
        plan::notice::Notice,
    },
    ports::Outlet,
    words::{snapshot::ConfigSnapshot, templates},
};

/// Discord's limits of an event's name, words and place; of a card's words, as much as is still compact.
const NAME_MAX: usize = 100;
const ABOUT_MAX: usize = 900;
const PLACE_MAX: usize = 100;
const CARD_MAX: usize = 1_000;

/// Red, green and blue for what waits, goes on, is done, is over, and went wrong.
const WAITS: u32 = 0x3b_6e_a5;
const GOES_ON: u32 = 0xd9_8e_04;
const IS_DONE: u32 = 0x2e_8b_57;
const IS_OVER: u32 = 0x6b_6b_6b;
const IS_WRONG: u32 = 0xb3_26_1e;

pub fn colour(campaign: &Campaign) -> u32 {
    match campaign.standing() {
        "cancelled" => IS_OVER,
        "failed" | "delayed" => IS_WRONG,
        _ => match campaign.progress.state {
            State::Scheduled => WAITS,
            State::Authorized | State::Applying | State::Applied => GOES_ON,
            State::Verified | State::Completed => IS_DONE,
        },
    }
}

/// The card below a notice's posts; nothing where the templates have none.
pub fn card(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    notice: &Notice,
    outlet: &Outlet,
    now: Timestamp,
) -> Result<Option<Card>, String> {
    if !snapshot.config.templates.contains_key(templates::CARD) {
        return Ok(None);
    }
    let context = context::of(
        campaign,
        Some(notice),
        &snapshot.config,
        &context::RenderInput::default(),
    );
    let text = snapshot
        .renderer
        .markdown(templates::CARD, &outlet.locale, &context.into())?;
    let body = snapshot.renderer.body(&text, outlet.platform, now);
    Ok(Some(card_of(&body.text, campaign)))
}

/// The card with these words.
pub fn card_of(text: &str, campaign: &Campaign) -> Card {
    Card {
        text: cut(text, CARD_MAX),
        colour: colour(campaign),
    }
}

/// What stands in the calendar; `Err` says why there is nothing to put there.
pub fn event(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    notice: &Notice,
    outlet: &Outlet,
    now: Timestamp,
) -> Result<CalendarEvent, String> {
    let (upgrade, progress) = (&campaign.upgrade, &campaign.progress);
    if upgrade.unplanned || upgrade.poll.is_some() {
        return Err("no window is set yet".into());
    }
    let stage = match progress.state {
        _ if upgrade.cancelled.is_some() || upgrade.failed.is_some() => {
            CalendarEventStage::Cancelled
        }
        State::Scheduled => CalendarEventStage::Scheduled,
        State::Authorized | State::Applying | State::Applied => CalendarEventStage::Active,
        State::Verified | State::Completed => CalendarEventStage::Completed,
    };
    let about = if snapshot
        .config
        .templates
        .contains_key(templates::CALENDAR_EVENT)
    {
        let context = context::of(
            campaign,
            Some(notice),
            &snapshot.config,
            &context::RenderInput::default(),
        );
        let text = snapshot.renderer.markdown(
            templates::CALENDAR_EVENT,
            &outlet.locale,
            &context.into(),
        )?;
        snapshot.renderer.body(&text, outlet.platform, now).text
    } else {
        upgrade.summary.clone()
    };
    let chains: Vec<&str> = upgrade.chains.keys().map(String::as_str).collect();
    Ok(CalendarEvent {
        name: cut(&upgrade.title, NAME_MAX),
        about: cut(&about, ABOUT_MAX),
        place: cut(&chains.join(", "), PLACE_MAX),
        opens: upgrade.window.opens,
        closes: upgrade.window.closes,
        stage,
    })
}
