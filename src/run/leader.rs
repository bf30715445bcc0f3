//! Taking the lead among replicas, and keeping it.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::{sleep, timeout};

use crate::ports::{
    Clock, Leadership, Replica, Store, StoreError,
    lease::{ClockReading, Lease},
};

/// How often who stands by looks whether the lead is free, at most.
const LOOK: Duration = Duration::from_secs(1);

/// One process among several, and for how long it takes the lead each time.
pub struct LeaderElection {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub me: Replica,
    pub ttl: SignedDuration,
}

/// What came of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderCheck {
    /// The lead is this one's, in the term with this number.
    Mine { term: i64 },
    /// It isn't, and why, for a log.
    Waits(String),
    /// Another process runs under the same name.
    Doubled,
}

impl LeaderElection {
    fn part(&self, of: i32) -> Duration {
        Duration::try_from(self.ttl / of).unwrap_or(LOOK)
    }

    /// The pause between two looks.
    pub fn pause(&self) -> Duration {
        self.part(3).min(LOOK)
    }

    async fn ask(&self) -> Result<Leadership, StoreError> {
        let patience = self.part(3);
        match timeout(patience, self.store.lead(&self.me, self.ttl)).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError(format!(
                "no answer within {} s",
                patience.as_secs_f32()
            ))),
        }
    }

    /// Takes the lead if it is free; then `lease` counts from before it was asked for.
    pub async fn look(&self, lease: &Lease) -> LeaderCheck {
        let asked = ClockReading::now(&*self.clock);
        match self.ask().await {
            Ok(Leadership::Mine { term }) => {
                lease.extend(asked, self.length());
                LeaderCheck::Mine { term }
            }
            Ok(Leadership::Theirs { replica }) => {
                LeaderCheck::Waits(format!("replica {replica} is active"))
            }
            Ok(Leadership::Doubled) => LeaderCheck::Doubled,
            Err(error) => LeaderCheck::Waits(error.to_string()),
        }
    }

    /// A tenth less than the store counts: no two clocks go alike.
    fn length(&self) -> SignedDuration {
        self.ttl * 9 / 10
    }

    /// Renews the lead in time; returns why it can't any more.
    pub async fn keep(&self, lease: &Lease) -> String {
        loop {
            sleep(self.part(4)).await;
            match self.look(lease).await {
                LeaderCheck::Mine { .. } => {}
                LeaderCheck::Doubled => {
                    return "another process runs under the same name".to_owned();
                }
                LeaderCheck::Waits(why) if lease.is_over(&*self.clock) => return why,
                LeaderCheck::Waits(why) => tracing::warn!("the lead was not renewed: {why}"),
            }
        }
    }
}
