//! At the start of `herald run`: would those who are mentioned hear of it?

use super::run::{chat_may_pass, patiently};
use crate::{
    channel::{discord::Discord, matrix::Matrix},
    ports::{ChatError, Platform},
    service::{Core, Outlet},
};

/// Tells, and notes for `herald status`, what keeps a mention from being heard. It is no reason not to start: the posts
/// are read without it.
pub async fn review(core: &Core, discord: Option<&Discord>, matrix: Option<&Matrix>) {
    for (name, outlet) in &core.outlets {
        let mut ids: Vec<String> = outlet.mentions.values().flatten().cloned().collect();
        ids.sort();
        ids.dedup();
        if ids.is_empty() {
            continue;
        }
        let unheard = patiently(async || unheard(outlet, &ids, discord, matrix).await, chat_may_pass).await;
        let words = match unheard {
            Ok(lines) if lines.is_empty() => continue,
            Ok(lines) => format!("{}; herald looks again when it starts", lines.join("; ")),
            Err(error) => format!("whether they are heard could not be found out: {error}"),
        };
        core.note_trouble(&format!("mentions in {name}"), Some(&words)).await;
    }
}

async fn unheard(outlet: &Outlet, ids: &[String], discord: Option<&Discord>, matrix: Option<&Matrix>) -> Result<Vec<String>, ChatError> {
    match (outlet.platform, discord, matrix) {
        (Platform::Discord, Some(discord), _) => discord.unheard(&outlet.place, ids).await,
        (Platform::Matrix, _, Some(matrix)) if ids.iter().any(|id| id == "@room") => {
            Ok(matrix.unheard(&outlet.place).await?.into_iter().collect())
        }
        _ => Ok(Vec::new()),
    }
}
