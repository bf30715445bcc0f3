//! Keeping the gateway connected.

use std::{sync::Arc, time::Duration};

use serenity::all::ConnectionStage;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Discord, connect,
    error::DiscordFault,
    link::{GatewayLink, GatewayState, Signal, hopeless},
};
use crate::ports::CommandHandler;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that held this long was a good one: the next pause is short again.
const GOOD_CONNECTION_AFTER: Duration = Duration::from_secs(60);
/// How often the connection's pulse is felt.
const CHECK_LINK_EVERY: Duration = Duration::from_secs(2);
/// Discord's heartbeat comes every 41 s; without one for so long the connection is dead.
const MAX_HEARTBEAT_AGE: Duration = Duration::from_secs(180);
/// serenity reconnects by itself, but to the same address for ever; after this long everything begins anew.
const MAX_DISCONNECTED: Duration = Duration::from_secs(90);
/// For how long answers that are being given may still go on when herald stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How one connection ended.
enum SessionEnd {
    Stopped,
    /// To be tried again, after the growing pause.
    Lost(String),
    /// To be tried again, but not before.
    Wait(String, Duration),
}

impl Discord {
    /// Keeps a gateway connection until told to stop, or until nobody can tell any more: registers `/upgrade` and answers
    /// it from `handler`. Posting, counting and reading back do without this.
    ///
    /// A lost connection comes back after 1 s, 2 s … 60 s; a refused one is tried once a minute, with [`trouble`] saying why.
    ///
    /// [`trouble`]: crate::ports::Chat::trouble
    pub async fn run(self: Arc<Self>, handler: Arc<dyn CommandHandler>, stop: CancellationToken) {
        let mut answers = JoinSet::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let (reason, wait) = match self.session(&handler, &stop, &mut answers).await {
                SessionEnd::Stopped => break,
                SessionEnd::Wait(reason, wait) => (reason, wait),
                SessionEnd::Lost(reason) => {
                    pause = if began.elapsed() > GOOD_CONNECTION_AFTER {
                        FIRST_PAUSE
                    } else {
                        pause
                    };
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    (reason, wait)
                }
            };
            tracing::warn!(%reason, wait_s = wait.as_secs(), "no connection to Discord's gateway");
            self.health.gateway_down(handler.now(), &reason);
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
            }
        }
        let all = async { while answers.join_next().await.is_some() {} };
        let _given_up = timeout(LAST_ANSWERS, all).await;
    }

    async fn session(
        self: &Arc<Self>,
        handler: &Arc<dyn CommandHandler>,
        stop: &CancellationToken,
        answers: &mut JoinSet<()>,
    ) -> SessionEnd {
        let address = tokio::select! {
            () = stop.cancelled() => return SessionEnd::Stopped,
            address = self.address() => match address {
                Ok(address) => address,
                Err(end) => return end,
            },
        };
        let http = match connect::http(&self.settings) {
            Ok(http) => http,
            Err(e) => return SessionEnd::Wait(e.to_string(), LONGEST_PAUSE),
        };
        let mut link = match GatewayLink::open(http, address) {
            Ok(link) => link,
            Err(e) => return SessionEnd::Lost(format!("no thread for the gateway: {e}")),
        };
        let mut health = HeartbeatWatch::new(Instant::now());
        let mut look = interval(CHECK_LINK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    link.close().await;
                    return SessionEnd::Stopped;
                }
                signal = link.next() => match signal {
                    Some(Signal::Ready) => {
                        tracing::info!("connected to Discord's gateway");
                        self.health.gateway_up();
                        answers.spawn(self.clone().register(stop.clone()));
                    }
                    Some(Signal::Resumed) => self.health.gateway_up(),
                    Some(Signal::Command(command)) => drop(answers.spawn(self.clone().answer(handler.clone(), command))),
                    Some(Signal::Pressed(button)) => drop(answers.spawn(self.clone().pressed(handler.clone(), button))),
                    Some(Signal::Written(modal)) => drop(answers.spawn(self.clone().written(handler.clone(), modal))),
                    Some(Signal::Typed(command)) => drop(answers.spawn(self.clone().propose(handler.clone(), command))),
                    Some(Signal::Ended(error)) => return ended(error),
                    None => return ended(None),
                },
                _ = look.tick() => match health.check(Instant::now(), link.pulse().await) {
                    LinkCheck::Fine => self.health.gateway_up(),
                    LinkCheck::Coming => {}
                    LinkCheck::Down => self.health.gateway_down(handler.now(), "it broke off and is being made anew"),
                    LinkCheck::Dead(why) => return SessionEnd::Lost(why.into()),
                },
                Some(done) = answers.join_next(), if !answers.is_empty() => {
                    if let Err(e) = done {
                        tracing::error!(error = %e, "answering on Discord broke off");
                    }
                }
            }
        }
    }

    /// Asks for the gateway's address, if a session may be begun now: Discord resets the token of who begins more than 1,000 a day.
    async fn address(&self) -> Result<String, SessionEnd> {
        let gateway = self
            .ask(self.deadline(), || self.http.get_bot_gateway())
            .await
            .map_err(|fault| fault.of("asking for the gateway"))
            .map_err(|fault| match &fault {
                DiscordFault::Unsure { .. } | DiscordFault::Unreadable { .. } => {
                    SessionEnd::Lost(fault.words())
                }
                DiscordFault::Token | DiscordFault::Code { .. } => {
                    SessionEnd::Wait(fault.words(), LONGEST_PAUSE)
                }
            })?;
        let limit = gateway.session_start_limit;
        if limit.remaining == 0 {
            let wait = Duration::from_millis(limit.reset_after).max(LONGEST_PAUSE);
            return Err(SessionEnd::Wait(
                format!(
                    "all {} sessions of this day are used up: Discord allows no more",
                    limit.total
                ),
                wait,
            ));
        }
        Ok(gateway.url)
    }
}

fn ended(error: Option<serenity::Error>) -> SessionEnd {
    match error {
        None => SessionEnd::Lost("the connection ended".into()),
        Some(error) => match hopeless(&error) {
            Some(words) => SessionEnd::Wait(words.into(), LONGEST_PAUSE),
            None => SessionEnd::Lost(DiscordFault::from(error).words()),
        },
    }
}

/// Tells a live connection from one that only seems to live.
struct HeartbeatWatch {
    /// The last sign of life.
    alive: Instant,
    last: Option<GatewayState>,
    was_up: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum LinkCheck {
    Fine,
    /// Not there for the first time yet.
    Coming,
    /// A heartbeat was there.
    Down,
    Dead(&'static str),
}

impl HeartbeatWatch {
    fn new(now: Instant) -> Self {
        Self {
            alive: now,
            last: None,
            was_up: false,
        }
    }

    fn check(&mut self, now: Instant, pulse: Option<GatewayState>) -> LinkCheck {
        let up = matches!(pulse, Some((ConnectionStage::Connected, _)));
        if up && pulse != self.last {
            self.alive = now;
        }
        self.last = pulse;
        self.was_up |= up;
        let quiet = now.saturating_duration_since(self.alive);
        match up {
            true if quiet > MAX_HEARTBEAT_AGE => LinkCheck::Dead("no heartbeat is answered"),
            true => LinkCheck::Fine,
            false if quiet > MAX_DISCONNECTED => LinkCheck::Dead("the gateway can't be reached"),
            false if self.was_up => LinkCheck::Down,
            false => LinkCheck::Coming,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_heartbeats_is_dead_and_one_with_them_is_not() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let up = |ms| Some((ConnectionStage::Connected, Some(Duration::from_millis(ms))));
        let mut pace = HeartbeatWatch::new(start);
        assert_eq!(pace.check(at(1), None), LinkCheck::Coming);
        assert_eq!(pace.check(at(2), up(5)), LinkCheck::Fine);
        assert_eq!(pace.check(at(170), up(6)), LinkCheck::Fine);
        assert_eq!(pace.check(at(340), up(6)), LinkCheck::Fine);
        assert_eq!(
            pace.check(at(351), up(6)),
            LinkCheck::Dead("no heartbeat is answered")
        );
        assert_eq!(pace.check(at(352), up(7)), LinkCheck::Fine);
        assert_eq!(pace.check(at(400), None), LinkCheck::Down);
        assert_eq!(
            pace.check(at(443), None),
            LinkCheck::Dead("the gateway can't be reached")
        );
    }
}
