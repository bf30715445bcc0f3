//! Where an upgrade stands, at a glance: the card below a post, and the event in a server's calendar.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    context,
    render_cache::{Press, Wanted},
};
use crate::{
    domain::{
        campaign::progress::State,
        outbox::post::{Card, Event, EventStage, cut},
        plan::notice::Notice,
    },
    outbox::Book,
    ports::{Accepting, Platform},
};

/// The words of a card. A folder of templates that lacks it has posts without.
pub const CARD_TEMPLATE: &str = "preparation/card";
/// The words of an event.
pub const EVENT_TEMPLATE: &str = "preparation/event";

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

pub fn colour(accepted: &Accepting) -> u32 {
    match accepted.standing() {
        "cancelled" => IS_OVER,
        "failed" | "delayed" => IS_WRONG,
        _ => match accepted.progress.state {
            State::Scheduled => WAITS,
            State::Authorized | State::Applying | State::Applied => GOES_ON,
            State::Verified | State::Completed => IS_DONE,
        },
    }
}

/// The card below a notice's posts; nothing where the templates have none.
pub fn card(
    press: &Press,
    book: &Arc<Book>,
    (accepted, notice): (&Accepting, &Notice),
    locale: &str,
    now: Timestamp,
) -> Result<Option<Card>, String> {
    if !book.config.templates.contains_key(CARD_TEMPLATE) {
        return Ok(None);
    }
    let moment = context::Moment::default();
    let wanted = Wanted { accepted, notice, template: CARD_TEMPLATE, locale, moment: &moment };
    let body = press.body(book, wanted, Platform::Discord, now)?;
    Ok(Some(card_of(&body.text, accepted)))
}

/// The card with these words.
pub fn card_of(text: &str, accepted: &Accepting) -> Card {
    Card { text: cut(text, CARD_MAX), colour: colour(accepted) }
}

/// What stands in the calendar; `Err` says why there is nothing to put there.
pub fn event(book: &Arc<Book>, accepted: &Accepting, notice: &Notice, locale: &str, now: Timestamp) -> Result<Event, String> {
    let (upgrade, progress) = (&accepted.upgrade, &accepted.progress);
    if upgrade.unplanned || upgrade.poll.is_some() {
        return Err("no window is set yet".into());
    }
    let stage = match progress.state {
        _ if upgrade.cancelled.is_some() || upgrade.failed.is_some() => EventStage::Cancelled,
        State::Scheduled => EventStage::Scheduled,
        State::Authorized | State::Applying | State::Applied => EventStage::Active,
        State::Verified | State::Completed => EventStage::Completed,
    };
    let about = if book.config.templates.contains_key(EVENT_TEMPLATE) {
        let context = context::of(accepted, Some(notice), &book.config, &context::Moment::default());
        let text = book.renderer.markdown(EVENT_TEMPLATE, locale, &context.into())?;
        book.renderer.body(&text, Platform::Discord, now).text
    } else {
        upgrade.summary.clone()
    };
    let chains: Vec<&str> = upgrade.chains.keys().map(String::as_str).collect();
    Ok(Event {
        name: cut(&upgrade.title, NAME_MAX),
        about: cut(&about, ABOUT_MAX),
        place: cut(&chains.join(", "), PLACE_MAX),
        opens: upgrade.window.opens,
        closes: upgrade.window.closes,
        stage,
    })
}
