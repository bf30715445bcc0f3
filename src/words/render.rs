//! The words of a post, rendered for its channel at the moment when it goes out.

use jiff::Timestamp;

use super::{card, context, mention, picture};
use crate::{
    config::Config,
    domain::{
        campaign::Campaign,
        outbox::{Action, Body, Button, Content, Operation, Picture, Rules},
        people::command::Verb,
        plan::{language::Language, notice::Notice},
    },
    ports::{Outlet, Pictures, Readers, TextLimit},
    words::{ballot, snapshot::ConfigSnapshot, templates},
};

/// The notice that a text is made of, and the channel that it is made for.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub snapshot: &'a ConfigSnapshot,
    pub campaign: &'a Campaign,
    pub notice: &'a Notice,
    pub outlet: &'a Outlet,
}

/// Cuts the end of a post that its mark makes longer than the platform takes.
pub fn shortened(text: String, limit: TextLimit) -> String {
    if limit.count(&text) <= limit.max() {
        return text;
    }
    let room = limit.max().saturating_sub(limit.count("\n…"));
    let mut length = 0;
    let fits = |c: &char| {
        length += limit.count(c.encode_utf8(&mut [0; 4]));
        length <= room
    };
    let head: String = text.chars().take_while(fits).collect();
    match head.rsplit_once('\n') {
        Some((lines, _)) => format!("{lines}\n…"),
        None => format!("{head}…"),
    }
}

/// The body of one operation of a notice.
pub fn body(
    subject: Subject<'_>,
    operation: Operation,
    input: &context::RenderInput<'_>,
    now: Timestamp,
) -> Result<Body, String> {
    let Subject {
        snapshot,
        campaign,
        notice,
        outlet,
    } = subject;
    let Rules {
        content, action, ..
    } = operation.rules();
    let template = match content {
        Content::Notice => notice.template.as_str(),
        Content::ThreadOpening => templates::FEEDBACK_THREAD,
        Content::Mark => templates::MARK,
        Content::Preview => templates::APPROVAL_PREVIEW,
        Content::Ballot => templates::BALLOT,
        Content::Picture => {
            let picture = block_times(campaign).ok_or("there are no block times to draw")?;
            return Ok(Body {
                text: picture.alt.clone(),
                picture: Some(picture),
                ..Body::default()
            });
        }
        Content::CalendarEvent | Content::Nothing => return Ok(Body::default()),
    };
    let input = &context::RenderInput {
        now: Some(now),
        ..input.clone()
    };
    let context = context::of(campaign, Some(notice), &snapshot.config, input);
    let text = snapshot
        .renderer
        .markdown(template, &outlet.locale, &context.into())?;
    let mut body = snapshot.renderer.body(&text, outlet.platform, now);
    if content == Content::Notice {
        furnish(&mut body, subject, input, now)?;
        // An edit keeps what people can press, and the picture.
        let capabilities = outlet.platform.capabilities();
        let is_new = action == Action::Send;
        if is_new && capabilities.buttons {
            let upgrade = &campaign.upgrade.id;
            body.buttons = buttons(&snapshot.config, upgrade, notice, &outlet.locale);
        }
        if is_new && notice.picture && capabilities.pictures == Pictures::WithText {
            body.picture = block_times(campaign);
        }
    }
    if content == Content::Ballot {
        let poll = campaign.upgrade.poll.as_ref();
        let windows = poll.map_or(0, |poll| poll.windows.len());
        // The text says the same to clients without votes.
        body.ballot = Some(ballot::ballot(&body.text, windows)?);
    }
    Ok(body)
}

/// Gives a notice's words the people whom they notify, and the card below them.
fn furnish(
    body: &mut Body,
    subject: Subject<'_>,
    input: &context::RenderInput<'_>,
    now: Timestamp,
) -> Result<(), String> {
    let Subject {
        snapshot,
        campaign,
        notice,
        outlet,
    } = subject;
    let missing = input.missing.iter();
    let named = mention::whom(notice, &outlet.mentions)
        .into_iter()
        .chain(missing.flat_map(|m| m.accounts.iter().cloned()));
    let capabilities = outlet.platform.capabilities();
    mention::name(body, capabilities.markup, named.collect());
    if capabilities.cards && outlet.readers == Readers::Public {
        body.card = card::card(snapshot, campaign, notice, outlet, now)?;
    }
    Ok(())
}

fn block_times(campaign: &Campaign) -> Option<Picture> {
    context::pictured(&campaign.progress).map(|times| picture::block_times(&times))
}

/// The buttons below a notice.
pub fn buttons(config: &Config, upgrade: &str, notice: &Notice, locale: &str) -> Vec<Button> {
    let words = config.languages.get(locale).unwrap_or(Language::english());
    let button = |word: &'static str, verb: Verb| Button {
        label: words.word(word).to_owned(),
        line: format!("{} upgrade={upgrade}", verb.name()),
    };
    let mut buttons = Vec::new();
    if notice.acknowledge && !config.roster.is_empty() {
        buttons.extend([
            button("button_seen", Verb::Ack),
            button("button_ready", Verb::Ready),
        ]);
    }
    if notice.feedback {
        buttons.extend([
            button("button_feedback", Verb::Feedback),
            button("button_details", Verb::Status),
        ]);
    }
    buttons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_pushes_the_end_out_and_not_the_beginning() {
        let said = "x".repeat(99);
        let text = format!("> mark\n\n{}", vec![said.as_str(); 20].join("\n"));
        let cut = shortened(text.clone(), TextLimit::Chars(2_000));
        assert!(
            cut.starts_with("> mark\n\n") && cut.ends_with("x\n…") && cut.chars().count() <= 2_000
        );
        assert_eq!(shortened(text.clone(), TextLimit::Bytes(60_000)), text);
        assert_eq!(shortened(said.clone(), TextLimit::Chars(2_000)), said);
    }
}
