//! The lines in which `status` and `plan` say where an upgrade stands.

use jiff::Timestamp;

use crate::{
    domain::campaign::{Campaign, upgrade::Upgrade},
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
    lines
}

fn window(upgrade: &Upgrade, written: impl Fn(Timestamp) -> String) -> String {
    match &upgrade.poll {
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
