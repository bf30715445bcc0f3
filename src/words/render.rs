//! Renders a post for its channel, at the moment when it goes out.

use jiff::Timestamp;

use super::{card, context, mention, picture};
use crate::{
    config::Config,
    domain::{
        campaign::Campaign,
        outbox::post::{Body, Button, Operation},
        people::command::Verb,
        plan::{language::Language, notice::Notice},
    },
    ports::{Outlet, Pictures, Readers, TextLimit},
    words::{ballot, snapshot::ConfigSnapshot, templates},
};

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

/// Renders the body of one operation of a notice.
pub fn body(
    snapshot: &ConfigSnapshot,
    (campaign, notice): (&Campaign, &Notice),
    operation: Operation,
    outlet: &Outlet,
    moment: &context::RenderInput<'_>,
    now: Timestamp,
) -> Result<Body, String> {
    let capabilities = outlet.platform.capabilities();
    let picture =
        || context::pictured(&campaign.progress).map(|times| picture::block_times(&times));
    let template = match operation {
        Operation::Post | Operation::Edit => notice.template.as_str(),
        Operation::Thread => templates::FEEDBACK_THREAD,
        Operation::Mark => templates::MARK,
        Operation::Preview => templates::APPROVAL_PREVIEW,
        Operation::Poll => templates::BALLOT,
        Operation::Picture => {
            let picture = picture().ok_or("there are no block times to draw")?;
            return Ok(Body {
                text: picture.alt.clone(),
                picture: Some(picture),
                ..Body::default()
            });
        }
        // Operations like these change what is out, and say nothing of their own.
        Operation::Publish
        | Operation::Pin
        | Operation::Unpin
        | Operation::Event
        | Operation::Close => return Ok(Body::default()),
    };
    let context = context::of(campaign, Some(notice), &snapshot.config, moment);
    let text = snapshot
        .renderer
        .markdown(template, &outlet.locale, &context.into())?;
    let mut body = snapshot.renderer.body(&text, outlet.platform, now);
    if matches!(operation, Operation::Post | Operation::Edit) {
        let named = moment
            .missing
            .iter()
            .flat_map(|m| m.accounts.iter().cloned());
        mention::name(
            &mut body,
            capabilities.markup,
            mention::whom(notice, &outlet.mentions)
                .into_iter()
                .chain(named)
                .collect(),
        );
    }
    if matches!(operation, Operation::Post | Operation::Edit)
        && capabilities.cards
        && outlet.readers == Readers::Public
    {
        body.card = card::card(snapshot, campaign, notice, outlet, now)?;
    }
    if operation == Operation::Poll {
        let windows = campaign
            .upgrade
            .poll
            .as_ref()
            .map_or(0, |poll| poll.windows.len());
        let ballot = ballot::ballot(&body.text, windows)?;
        // The rest of the body says the same to clients without votes.
        return Ok(Body {
            ballot: Some(ballot),
            ..body
        });
    }
    // People who are asked can answer by a button; an edit keeps the buttons that are there.
    if operation == Operation::Post && capabilities.buttons {
        body.buttons = buttons(
            &snapshot.config,
            &campaign.upgrade.id,
            notice,
            &outlet.locale,
        );
    }
    if operation == Operation::Post && notice.picture && capabilities.pictures == Pictures::WithText
    {
        body.picture = picture();
    }
    Ok(body)
}

/// Makes the buttons below a notice.
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
