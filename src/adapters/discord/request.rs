//! One request to Discord: bounded in time, and in its turn.
//!
//! serenity keeps the limit of each route, as Discord's answers tell it. Of the limit over all of a bot's
//! requests it learns by being refused, so that one is kept here.

use std::{future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serenity::http::RatelimitInfo;
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::error::DiscordFault;

/// Requests of a bot in a second, whatever they are for; answers to commands aside.
const MAX_REQUESTS_A_SECOND: usize = 50;
const SECOND: Duration = Duration::from_secs(1);

/// Fifty turns. Who has had one lays it down when Discord has answered, and a second later another takes it: so no
/// second has more than fifty requests, however long they are on their way.
pub(super) struct Budget {
    turns: Arc<Semaphore>,
    second: Duration,
    /// Until when Discord takes none, by its own word.
    closed: Mutex<Option<Instant>>,
}

struct RequestPermit(Option<OwnedSemaphorePermit>, Duration);

impl RequestPermit {
    /// Nothing was asked in it.
    fn give_back(mut self) {
        self.0 = None;
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        if let (Some(turn), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            let second = self.1;
            runtime.spawn(async move {
                sleep(second).await;
                drop(turn);
            });
        }
    }
}

/// A request's note that serenity's limiter lets it wait.
#[derive(Default)]
struct LimiterWait {
    until: Mutex<Option<(Instant, bool)>>,
    rung: Notify,
}

impl LimiterWait {
    /// Until when, and whether that is so for every request.
    async fn wait(&self) -> (Instant, bool) {
        loop {
            let rung = self.rung.notified();
            if let Some(until) = *self.until.lock() {
                return until;
            }
            rung.await;
        }
    }
}

tokio::task_local! {
    static LIMITER_WAIT: Arc<LimiterWait>;
}

/// Told by serenity's rate limiter, in the task whose request has to wait.
/// Neither the route nor the span is logged: an interaction's route has its secret in it.
pub(super) fn held_back(info: RatelimitInfo) {
    tracing::info!(parent: None, wait_ms = info.timeout.as_millis(), global = info.global, "Discord's rate limit: a request waits");
    hold(info.timeout, info.global);
}

fn hold(wait: Duration, all: bool) {
    let until = Instant::now() + wait;
    let _outside_a_request = LIMITER_WAIT.try_with(|held| {
        *held.until.lock() = Some((until, all));
        held.rung.notify_one();
    });
}

impl Budget {
    pub(super) fn new() -> Self {
        Self::of(MAX_REQUESTS_A_SECOND, SECOND)
    }

    fn of(turns: usize, second: Duration) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            second,
            closed: Mutex::new(None),
        }
    }

    async fn turn(&self) -> RequestPermit {
        let turn = self.turns.clone().acquire_owned().await.ok();
        loop {
            let closed: Option<Instant> = *self.closed.lock();
            match closed.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return RequestPermit(turn, self.second),
            }
        }
    }

    /// Makes a request when its turn has come. One that a route's limit holds back waits without a turn.
    pub(super) async fn ask<T, F: Future<Output = serenity::Result<T>>>(
        &self,
        deadline: Instant,
        mut call: impl FnMut() -> F,
    ) -> Result<T, DiscordFault> {
        loop {
            let Ok(turn) = timeout_at(deadline, self.turn()).await else {
                return Err(waits("too many requests are before this one", self.second));
            };
            let held = Arc::new(LimiterWait::default());
            let (until, all) = tokio::select! {
                biased;
                answer = timeout_at(deadline, LIMITER_WAIT.scope(held.clone(), call())) => return answer.map_or_else(|_| Err(silent()), |a| a.map_err(DiscordFault::from)),
                held = held.wait() => held,
            };
            if all {
                *self.closed.lock() = Some(until);
            } else {
                turn.give_back();
            }
            if until >= deadline {
                return Err(waits(
                    "Discord's rate limit holds the request back",
                    until.saturating_duration_since(Instant::now()),
                ));
            }
            sleep_until(until).await;
        }
    }
}

/// Makes a request that no limit over all requests counts: an answer to a command.
pub(super) async fn answer<T>(
    deadline: Instant,
    call: impl Future<Output = serenity::Result<T>>,
) -> Result<T, DiscordFault> {
    timeout_at(deadline, call).await.map_or_else(
        |_| Err(silent()),
        |answer| answer.map_err(DiscordFault::from),
    )
}

fn silent() -> DiscordFault {
    DiscordFault::Unsure {
        reason: "no answer from Discord in time".into(),
        after_ms: None,
    }
}

fn waits(reason: &str, left: Duration) -> DiscordFault {
    let after_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
    DiscordFault::Unsure {
        reason: reason.into(),
        after_ms: Some(after_ms),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// One that comes once another was called: when it was made.
    async fn another(budget: &Budget, calls: &AtomicUsize) -> Instant {
        while calls.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        budget
            .ask(in_a_minute(), || async { Ok(Instant::now()) })
            .await
            .unwrap()
    }

    /// Of requests that take longer and shorter on their way, each second has as many as there are turns at the most,
    /// wherever it begins. The second is a short one here.
    #[tokio::test]
    async fn no_second_has_more_requests_than_turns() {
        let budget = Budget::of(10, SHORT);
        let taken = Mutex::new(Vec::new());
        let requests = (0..100_u64).map(|i| {
            let (budget, taken) = (&budget, &taken);
            async move {
                let way = Duration::from_millis(1 + i * 7_919 % 40);
                let call = || async {
                    sleep(way).await;
                    taken.lock().push(Instant::now());
                    sleep(way).await;
                    Ok(())
                };
                budget.ask(in_a_minute(), call).await.unwrap();
            }
        });
        futures::future::join_all(requests).await;
        let taken = taken.lock();
        assert_eq!(taken.len(), 100);
        for from in taken.iter() {
            let within = taken
                .iter()
                .filter(|at| from <= *at && **at < *from + SHORT)
                .count();
            assert!(within <= 10, "{within} at once");
        }
    }

    #[tokio::test]
    async fn who_is_held_back_keeps_no_turn_and_asks_again() {
        let budget = Budget::of(1, SHORT);
        let calls = AtomicUsize::new(0);
        let call = || async {
            if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                hold(SHORT, false);
                std::future::pending::<()>().await;
            }
            Ok(Instant::now())
        };
        let begun = Instant::now();
        let (held, other) = tokio::join!(budget.ask(in_a_minute(), call), another(&budget, &calls));
        let held = held.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert!(
            begun + SHORT <= held && other < held,
            "the other had the one turn meanwhile"
        );
    }

    #[tokio::test]
    async fn a_wait_beyond_the_deadline_is_told_at_once() {
        let call = || async {
            hold(Duration::from_secs(3_600), false);
            std::future::pending::<serenity::Result<()>>().await
        };
        let late = Budget::new().ask(in_a_minute(), call).await;
        assert!(
            matches!(
                late,
                Err(DiscordFault::Unsure {
                    after_ms: Some(3_500_000..),
                    ..
                })
            ),
            "{late:?}"
        );
    }

    #[tokio::test]
    async fn a_refusal_of_everything_holds_everything() {
        let budget = Budget::of(10, SHORT);
        let refused = AtomicUsize::new(0);
        let call = || async {
            if refused.fetch_add(1, Ordering::Relaxed) == 0 {
                hold(SHORT * 3, true);
                std::future::pending::<()>().await;
            }
            Ok(Instant::now())
        };
        let begun = Instant::now();
        let (first, second) =
            tokio::join!(budget.ask(in_a_minute(), call), another(&budget, &refused));
        assert!(first.unwrap() >= begun + SHORT * 3 && second >= begun + SHORT * 3);
    }
}
