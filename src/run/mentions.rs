//! Finds out at the start of `herald run` whether those who are mentioned would hear of it.

use super::{is_transient, retry};
use crate::{
    adapters::{
        discord::{Discord, ServerInfo},
        matrix::Matrix,
    },
    outbox::Core,
    ports::{ChatError, Outlet, Platform},
};

/// Tells, and notes for `herald status`, what keeps a mention from being heard. It is no reason not to start: the posts
/// are read without it.
pub async fn review(core: &Core, discord: Option<&Discord>, matrix: Option<&Matrix>) {
    let asks = core
        .outlets
        .values()
        .any(|o| o.platform == Platform::Discord && !o.mentions.is_empty());
    let mut around = None;
    if let Some(discord) = discord.filter(|_| asks) {
        match retry(async || discord.surroundings().await, is_transient).await {
            Ok(found) => around = Some((discord, found)),
            Err(error) => {
                core.troubles
                    .note("mentions on Discord", Some(&unknown(&error)))
                    .await
            }
        }
    }
    for (name, outlet) in &core.outlets {
        let mut ids: Vec<String> = outlet.mentions.values().flatten().cloned().collect();
        ids.sort();
        ids.dedup();
        if ids.is_empty() {
            continue;
        }
        let unheard = retry(
            async || unheard(outlet, &ids, around.as_ref(), matrix).await,
            is_transient,
        )
        .await;
        let words = match unheard {
            Ok(lines) if lines.is_empty() => continue,
            Ok(lines) => format!("{}; herald looks again when it starts", lines.join("; ")),
            Err(error) => unknown(&error),
        };
        core.troubles
            .note(&format!("mentions in {name}"), Some(&words))
            .await;
    }
}

fn unknown(error: &ChatError) -> String {
    format!("whether they are heard could not be found out: {error}")
}

async fn unheard(
    outlet: &Outlet,
    ids: &[String],
    discord: Option<&(&Discord, ServerInfo)>,
    matrix: Option<&Matrix>,
) -> Result<Vec<String>, ChatError> {
    match (outlet.platform, discord, matrix) {
        (Platform::Discord, Some((discord, around)), _) => {
            discord.unheard(&outlet.place, ids, around).await
        }
        (Platform::Matrix, _, Some(matrix)) if ids.iter().any(|id| id == "@room") => {
            Ok(matrix.unheard(&outlet.place).await?.into_iter().collect())
        }
        _ => Ok(Vec::new()),
    }
}
