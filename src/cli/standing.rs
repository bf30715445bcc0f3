//! The lines in which `status` and `plan` say where an upgrade stands.

use jiff::Timestamp;

use crate::{
    domain::campaign::{Campaign, progress::Note, upgrade::Upgrade},
    words::{Zone, is_disruptive},
};

/// Lists the lines that say where an upgrade stands: its state with the reason, what holds it back, and its window.
pub fn lines(campaign: &Campaign, zone: &Zone) -> Vec<String> {
    let upgrade = &campaign.upgrade;
    let reason = upgrade
        .reason()
        .map(|reason| format!(": {}", harmless(reason)))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "{} ({}): {}{reason}",
        harmless(&upgrade.title),
        upgrade.id,
        campaign.standing(),
    )];
    lines.extend(
        campaign
            .on_hold()
            .map(|reason| format!("  no-go: {}", harmless(reason))),
    );
    lines.push(format!("  {}", window(upgrade, |at| zone.written(at))));
    let note = |note: &Note| {
        format!(
            "  note of {}: {}",
            zone.written(note.at),
            harmless(&note.text)
        )
    };
    lines.extend(campaign.progress.notes.iter().map(note));
    lines
}

fn window(upgrade: &Upgrade, written: impl Fn(Timestamp) -> String) -> String {
    match &upgrade.poll {
        Some(_) if upgrade.given_up() => "no window: none was chosen".to_owned(),
        _ if upgrade.unplanned => "no window: nobody has announced it".to_owned(),
        Some(poll) => format!(
            "no window yet: people choose one of {} until {}",
            poll.windows.len(),
            written(poll.decide_by)
        ),
        None => format!(
            "window {} to {}",
            written(upgrade.window.opens),
            written(upgrade.window.closes)
        ),
    }
}

/// Makes a text of a file harmless in a terminal.
fn harmless(text: &str) -> String {
    text.replace(is_disruptive, " ")
}
