//! Checks that every template is used.

use std::collections::BTreeSet;

use super::warning;
use crate::{
    config::{Config, Finding, is_built_in},
    domain::plan::language::split,
    words::templates,
};

/// The folders whose templates herald itself asks for.
const OWN_FOLDERS: [&str; 2] = ["answers/", "appendix/"];

pub(super) fn of(config: &Config, findings: &mut Vec<Finding>) {
    let own = [
        templates::MARK,
        templates::APPROVAL_PREVIEW,
        templates::FEEDBACK_THREAD,
        templates::CARD,
        templates::CALENDAR_EVENT,
        templates::BALLOT,
        templates::TOPIC,
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(config.plan.own.iter().map(|n| n.template.clone()));
    let mut todo: Vec<String> = config
        .plan
        .all_notices()
        .map(|(_, n)| n.template.clone())
        .chain(own)
        .collect();
    todo.extend(
        config
            .templates
            .keys()
            .filter(|name| OWN_FOLDERS.iter().any(|folder| name.starts_with(folder)))
            .cloned(),
    );
    let mut used: BTreeSet<String> = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if used.insert(name.clone()) {
            // Each language may include others.
            let versions = config
                .templates
                .iter()
                .filter(|(key, _)| split(key).0 == split(&name).0);
            todo.extend(versions.flat_map(|(_, file)| partials(&file.text)));
        }
    }
    // Those of the binary are there for whoever asks for them.
    let is_unused = |name: &str, text: &str| {
        !used.contains(name) && !used.contains(split(name).0) && !is_built_in(name, text)
    };
    let templates = config.templates.iter();
    for (name, file) in templates.filter(|(name, file)| is_unused(name, &file.text)) {
        let hint = "name it in a notice, or remove the file".to_owned();
        findings.push(warning(file.at(
            (1, 1),
            format!("nothing uses `{name}`"),
            hint,
        )));
    }
}

/// Lists the templates that a text includes: `{{> late}}`, `{{#> frame}}`.
fn partials(text: &str) -> Vec<String> {
    let behind = |tag: &str| {
        let name = tag
            .trim_start_matches('~')
            .trim_start_matches('#')
            .trim_start()
            .strip_prefix('>')?;
        let name: String = name
            .trim_start()
            .chars()
            .take_while(|c| !c.is_whitespace() && !"}~".contains(*c))
            .collect();
        Some(if name.contains('/') {
            name
        } else {
            format!("partials/{name}")
        })
    };
    text.split("{{").skip(1).filter_map(behind).collect()
}
