//! The health of the connection: what is wrong with it now, for operators.

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

/// Each kind of trouble stands until what it speaks of works again.
#[derive(Default)]
pub(super) struct ConnectionHealth(Mutex<ConnectionState>);

#[derive(Default)]
struct ConnectionState {
    token_revoked: bool,
    gateway: Option<Outage>,
    commands: Option<String>,
}

struct Outage {
    since: Timestamp,
    reason: String,
}

impl ConnectionHealth {
    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        self.0.lock()
    }

    /// A request was answered with (`true`) or without "unauthorized".
    pub fn token(&self, revoked: bool) {
        self.state().token_revoked = revoked;
    }

    /// The gateway doesn't work, first seen at `now` unless it was seen before.
    pub fn gateway_down(&self, now: Timestamp, reason: &str) {
        let mut state = self.state();
        let since = state.gateway.as_ref().map_or(now, |outage| outage.since);
        state.gateway = Some(Outage {
            since,
            reason: reason.into(),
        });
    }

    pub fn gateway_up(&self) {
        self.state().gateway = None;
    }

    /// How registering the slash command ended.
    pub fn commands(&self, trouble: Option<String>) {
        self.state().commands = trouble;
    }

    pub fn words(&self) -> Option<String> {
        let state = self.state();
        let token = state
            .token_revoked
            .then(|| format!("{TOKEN_REVOKED}; {NEW_TOKEN}"));
        let gateway = state.gateway.as_ref().map(|outage| {
            let since = outage.since.strftime("%Y-%m-%d %H:%M:%S UTC");
            format!(
                "no connection to Discord's gateway since {since}, so /upgrade goes unanswered (posting does not need it): {}",
                outage.reason
            )
        });
        let words: Vec<_> = [token, gateway, state.commands.clone()]
            .into_iter()
            .flatten()
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

pub(super) const TOKEN_REVOKED: &str =
    "Discord refuses the bot's token (401): it is wrong, was reset or was revoked";
pub(super) const NEW_TOKEN: &str = "make a new one in Discord's Developer Portal under Bot, put it in place of the old one and restart herald";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_keeps_its_beginning_and_ends() {
        let health = ConnectionHealth::default();
        assert_eq!(health.words(), None);
        health.gateway_down(Timestamp::UNIX_EPOCH, "first");
        health.gateway_down("2026-01-01T00:00:00Z".parse().unwrap(), "second");
        let words = health.words().unwrap();
        assert!(
            words.contains("since 1970-01-01 00:00:00 UTC") && words.ends_with("second"),
            "{words}"
        );
        health.token(true);
        assert!(health.words().unwrap().starts_with(TOKEN_REVOKED));
        health.token(false);
        health.gateway_up();
        assert_eq!(health.words(), None);
    }
}
