//! The card below a post and the event in a server's calendar show where an upgrade stands.

use jiff::Timestamp;

use super::context;
use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::{CalendarEvent, CalendarEventStage, Card, cut},
        plan::notice::Notice,
    },
    ports::Outlet,
    words::{snapshot::ConfigSnapshot, templates},
};

/// Discord limits an event's name, description and place, in characters; a card is kept compact.
const MAX_EVENT_NAME_CHARS: usize = 100;
const MAX_EVENT_ABOUT_CHARS: usize = 900;
const MAX_EVENT_PLACE_CHARS: usize = 100;
const MAX_CARD_CHARS: usize = 1_000;

/// Red, green and blue for an upgrade that waits, goes on, is done, is over, or went wrong.
const WAITING_RGB: u32 = 0x3b_6e_a5;
const RUNNING_RGB: u32 = 0xd9_8e_04;
const DONE_RGB: u32 = 0x2e_8b_57;
const OVER_RGB: u32 = 0x6b_6b_6b;
const FAILED_RGB: u32 = 0xb3_26_1e;

pub fn colour(campaign: &Campaign) -> u32 {
    match campaign.standing() {
        "cancelled" => OVER_RGB,
        "failed" | "delayed" => FAILED_RGB,
        _ => match campaign.progress.state {
            State::Scheduled => WAITING_RGB,
            State::Authorized | State::Applying | State::Applied => RUNNING_RGB,
            State::Verified | State::Completed => DONE_RGB,
        },
    }
}

/// Renders the card below a notice's posts; `None` where the templates have none.
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

/// Makes a card with these words.
pub fn card_of(text: &str, campaign: &Campaign) -> Card {
    Card {
        text: cut(text, MAX_CARD_CHARS),
        colour: colour(campaign),
    }
}

/// Renders the event for the calendar; `Err` says why there is none.
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
        let summary = snapshot.renderer.value(&upgrade.summary);
        snapshot.renderer.body(&summary, outlet.platform, now).text
    };
    let chains: Vec<&str> = upgrade.chains.keys().map(String::as_str).collect();
    Ok(CalendarEvent {
        name: cut(&upgrade.title, MAX_EVENT_NAME_CHARS),
        about: cut(&about, MAX_EVENT_ABOUT_CHARS),
        place: cut(&chains.join(", "), MAX_EVENT_PLACE_CHARS),
        opens: upgrade.window.opens,
        closes: upgrade.window.closes,
        stage,
    })
}
