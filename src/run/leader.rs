//! The leader election: a replica takes the lead when its lease is free, and renews the lease for as long as it can.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::{sleep, timeout};

use crate::ports::{
    Clock, Leadership, LeadershipStore, Replica, StoreError,
    lease::{ClockReading, Lease},
};

/// The longest pause between two tries of a replica that stands by.
const MAX_TRY_EVERY: Duration = Duration::from_secs(1);

/// The election as one replica sees it.
pub struct LeaderElection {
    pub store: Arc<dyn LeadershipStore>,
    pub clock: Arc<dyn Clock>,
    pub me: Replica,
    /// The time for which the lead is granted each time.
    pub ttl: SignedDuration,
}

/// The result of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderCheck {
    /// This replica has the lead, in the term with this number.
    Mine { term: i64 },
    /// The replica waits, for this reason, in words for a log.
    Waits(String),
    /// Another process runs under the same name.
    Doubled,
}

impl LeaderElection {
    /// A fraction of the time for which the lead is granted.
    fn part(&self, of: i32) -> Duration {
        Duration::try_from(self.ttl / of).unwrap_or(MAX_TRY_EVERY)
    }

    /// The pause between two tries.
    pub fn pause(&self) -> Duration {
        self.part(3).min(MAX_TRY_EVERY)
    }

    async fn ask(&self) -> Result<Leadership, StoreError> {
        let limit = self.part(3);
        match timeout(limit, self.store.lead(&self.me, self.ttl)).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Unavailable(format!(
                "no answer within {} s",
                limit.as_secs_f32()
            ))),
        }
    }

    /// Takes the lead if it is free, or renews it. The lease counts from before the store was asked, so that it never
    /// outlasts what the store granted.
    pub async fn try_lead(&self, lease: &Lease) -> LeaderCheck {
        let asked = ClockReading::now(&*self.clock);
        match self.ask().await {
            Ok(Leadership::Mine { term }) => {
                lease.renew(asked, self.lease_length());
                LeaderCheck::Mine { term }
            }
            Ok(Leadership::Theirs { replica }) => {
                LeaderCheck::Waits(format!("replica {replica} is active"))
            }
            Ok(Leadership::Doubled) => LeaderCheck::Doubled,
            Err(error) => LeaderCheck::Waits(error.to_string()),
        }
    }

    /// The lease is a tenth shorter than what the store grants, because no two clocks go alike.
    fn lease_length(&self) -> SignedDuration {
        self.ttl * 9 / 10
    }

    /// Renews the lease again and again; returns why it can't be renewed any more.
    pub async fn keep_lead(&self, lease: &Lease) -> String {
        loop {
            sleep(self.part(4)).await;
            match self.try_lead(lease).await {
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
