//! Heartbeats of the services: each says when it will be heard of again, and one that is not heard of by then hangs.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
/// The heartbeats of all services.
#[derive(Debug)]
pub struct Heartbeats {
    /// The longest that one piece of work may take.
    work: Duration,
    parts: Mutex<BTreeMap<String, Instant>>,
}

impl Heartbeats {
    pub fn new(work: Duration) -> Self {
        Self {
            work,
            parts: Mutex::default(),
        }
    }

    /// A part that is heard of from now on, until it is dropped.
    pub fn part(self: &Arc<Self>, name: impl Into<String>) -> Heartbeat {
        let beat = Heartbeat {
            heartbeats: self.clone(),
            name: name.into(),
        };
        beat.again(Duration::ZERO);
        beat
    }

    /// Names the parts that hang.
    pub fn silent(&self) -> Vec<String> {
        self.silent_at(Instant::now())
    }

    fn silent_at(&self, now: Instant) -> Vec<String> {
        self.parts()
            .iter()
            .filter(|(_, due)| **due < now)
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.parts.lock()
    }
}

/// The heartbeat of one part.
#[derive(Debug)]
pub struct Heartbeat {
    heartbeats: Arc<Heartbeats>,
    name: String,
}

impl Heartbeat {
    /// Says that the part goes on, and is heard of again after `pause` and one piece of work.
    pub fn again(&self, pause: Duration) {
        let due = Instant::now().checked_add(pause.saturating_add(self.heartbeats.work));
        // What lies beyond the clock's end never comes due.
        match due {
            Some(due) => self.heartbeats.parts().insert(self.name.clone(), due),
            None => self.heartbeats.parts().remove(&self.name),
        };
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.heartbeats.parts().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_hangs_once_its_pause_and_its_work_are_over_until_it_is_heard_of_or_ends() {
        let heartbeats = Arc::new(Heartbeats::new(Duration::from_secs(60)));
        let (chain, plan) = (heartbeats.part("chain paseo"), heartbeats.part("plan"));
        chain.again(Duration::from_secs(30));
        let after = |seconds| heartbeats.silent_at(Instant::now() + Duration::from_secs(seconds));
        assert_eq!(after(59), Vec::<String>::new());
        assert_eq!(after(61), ["plan"]);
        assert_eq!(after(91), ["chain paseo", "plan"]);
        plan.again(Duration::MAX);
        drop(chain);
        assert_eq!(after(91), Vec::<String>::new());
    }
}
