//! Reviews what only rendering shows: does every notice fit a post, with every value at its longest?

use serde_json::Value;

use crate::{
    config::{Config, Finding},
    domain::notice::Notice,
    ports::Platform,
    template::Renderer,
};

/// Discord's limit for a message, in characters.
pub const DISCORD_LIMIT: usize = 2000;

/// A finding for each notice that could be too long for a channel it goes to.
pub fn lengths(config: &Config, renderer: &Renderer, worst: &Value) -> Vec<Finding> {
    config.plan.notices.iter().filter(|n| on_discord(config, n)).filter_map(|n| too_long(config, renderer, worst, n)).collect()
}

fn on_discord(config: &Config, notice: &Notice) -> bool {
    notice.channels.iter().any(|c| config.deployment.channels.get(c).is_some_and(|c| c.platform == Platform::Discord))
}

fn too_long(config: &Config, renderer: &Renderer, worst: &Value, notice: &Notice) -> Option<Finding> {
    let file = config.templates.get(&notice.template)?;
    let markdown = match renderer.markdown(&notice.template, worst) {
        Ok(markdown) => markdown,
        Err(error) => return Some(file.at((1, 1), error, "mend the template".to_owned())),
    };
    let body = renderer.body(&markdown, Platform::Discord, jiff::Timestamp::UNIX_EPOCH);
    let length = body.text.chars().count();
    (length > DISCORD_LIMIT).then(|| {
        file.at(
            (1, 1),
            format!("with every value at its longest this makes {length} characters; a post on Discord holds {DISCORD_LIMIT}"),
            "shorten the template; notices are never split".to_owned(),
        )
    })
}
