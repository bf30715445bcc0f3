//! What follows an upgrade: changes still to come, what "verified" waits for, and parachains that have stopped.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::{
    campaign::{
        parachains::{ParachainWatch, StoppedParachain},
        progress::{Awaited, ChainProgress},
    },
    chain::{
        block::Kin,
        pending::{ConfigurationChange, PendingChanges},
    },
};

/// The most that are named of each: changes of a configuration, changes of a chain, parachains that have stopped.
const MAX_NAMED: usize = 5;
/// The word for what is awaited while it is not known what follows the upgrade.
const UNREAD: &str = "unread";
/// The ids that are written in a row.
const MAX_IDS: usize = 10;
/// The characters that are written of a value of a configuration.
const MAX_VALUE_CHARS: usize = 40;

/// The aftermath on one chain, as templates have it.
#[derive(Default)]
pub(super) struct Aftermath {
    pub pending: Vec<Value>,
    pub awaited: Option<Value>,
    pub stopped: Vec<Value>,
    pub stopped_more: usize,
    /// Those of them that are not back: how many, of how many, and their ids.
    pub missing: Option<Value>,
}

/// Describes the aftermath on a chain, whose parachains have names in `kin`.
pub(super) fn of(name: &str, chain: Option<&ChainProgress>, kin: &Kin) -> Aftermath {
    let Some(chain) = chain else {
        return Aftermath::default();
    };
    let watch = chain.parachains.as_ref();
    let count = watch.map_or(0, |watch| watch.stopped.len());
    Aftermath {
        pending: chain
            .pending()
            .map(|changes| pending(name, changes))
            .unwrap_or_default(),
        awaited: awaited(name, chain),
        stopped: watch.map(|watch| stopped(watch, kin)).unwrap_or_default(),
        stopped_more: count.saturating_sub(MAX_NAMED),
        missing: watch
            .filter(|watch| watch.missing().next().is_some())
            .map(missing),
    }
}

fn missing(watch: &ParachainWatch) -> Value {
    let ids: Vec<String> = watch.missing().map(|p| p.id.to_string()).collect();
    let shown = ids.get(..MAX_IDS).unwrap_or(&ids).join(", ");
    let more = if ids.len() > MAX_IDS { ", …" } else { "" };
    json!({ "count": ids.len(), "of": watch.count(), "ids": format!("{shown}{more}") })
}

fn stopped(watch: &ParachainWatch, kin: &Kin) -> Vec<Value> {
    let parachain = |parachain: &StoppedParachain| {
        json!({
            "id": parachain.id,
            "label": kin.paras.get(&parachain.id),
            "last": parachain.last,
            "back": parachain.back,
        })
    };
    watch
        .stopped
        .iter()
        .take(MAX_NAMED)
        .map(parachain)
        .collect()
}

/// Lists the changes that are still to come on a chain, the calls of the scheduler last.
fn pending(chain: &str, pending: &PendingChanges) -> Vec<Value> {
    let configurations = pending.configurations.iter().map(|configuration| {
        let at = pending
            .sessions
            .and_then(|clock| clock.begins(configuration.session));
        let changes = configuration.changes.iter().take(MAX_NAMED);
        json!({
            "chain": chain,
            "session": configuration.session,
            "block": null,
            "at": at.map(Timestamp::as_second),
            "changes": changes.map(change).collect::<Vec<_>>(),
            "more": configuration.changes.len().saturating_sub(MAX_NAMED),
            "call": false,
        })
    });
    let calls = pending.calls.iter().map(|block| {
        json!({ "chain": chain, "session": null, "block": block, "at": null, "changes": [], "more": 0, "call": true })
    });
    configurations.chain(calls).take(MAX_NAMED).collect()
}

fn change(change: &ConfigurationChange) -> Value {
    match change {
        ConfigurationChange::Value { name, from, to } => {
            let short = |value: &str| {
                let more = if value.chars().count() > MAX_VALUE_CHARS {
                    "…"
                } else {
                    ""
                };
                let text: String = value.chars().take(MAX_VALUE_CHARS).collect();
                format!("{text}{more}")
            };
            json!({ "name": name, "from": short(from), "to": short(to), "number": null, "on": null })
        }
        ConfigurationChange::NodeFeature { number, on } => {
            json!({ "name": null, "from": null, "to": null, "number": number, "on": on })
        }
    }
}

/// Describes what has to be over before a chain may be verified.
fn awaited(name: &str, chain: &ChainProgress) -> Option<Value> {
    let (what, number) = chain.awaited()?;
    let at = chain.expected(what).map(Timestamp::as_second);
    let is_unread = what == Awaited::PendingConfig && number.is_none();
    let word = if is_unread { UNREAD } else { what.into() };
    Some(json!({ "chain": name, "what": word, "number": number, "at": at }))
}
