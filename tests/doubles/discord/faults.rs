//! Faults on order: refusals, cut connections and stalls, by chance (with a seed) or one by one.

use std::{collections::VecDeque, time::Duration};

/// What goes wrong with the requests to come.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Refuses every request with this status.
    pub refuse: Option<u16>,
    /// The share of requests that are read and thrown away, the connection cut.
    pub drop_before: f64,
    /// The share of requests that take effect, the connection cut before the answer.
    pub drop_after: f64,
    /// The share of requests that take effect, the answer that much later.
    pub stall: Option<(f64, Duration)>,
    /// Faults that each strike once, the first that fits the request.
    pub script: VecDeque<OneShot>,
    /// Where the chances start from: the same seed, the same fate.
    pub seed: u64,
}

/// A fault that strikes the first request that fits.
#[derive(Clone, Debug)]
pub struct OneShot {
    /// `POST` and so on; empty fits all.
    pub method: String,
    /// How the path begins, after `/api/v10`.
    pub path: String,
    pub fault: Fault,
}

impl OneShot {
    #[must_use]
    pub fn new(method: &str, path: &str, fault: Fault) -> Self {
        OneShot {
            method: method.to_owned(),
            path: path.to_owned(),
            fault,
        }
    }
}

/// One way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Refused with this status, without effect.
    Refuse(u16),
    /// Refused with this status and Discord's number for the reason, without effect.
    RefuseFor(u16, u32),
    /// Done, and answered with another body than bots know.
    Garble,
    /// 429 with this `retry_after` in seconds; `shared` ones don't count as invalid.
    Limit { retry_after: f64, shared: bool },
    /// Read, thrown away, the connection cut.
    DropBefore,
    /// Done, the connection cut before the answer.
    DropAfter,
    /// Done, answered this much later.
    Stall(Duration),
}

/// The faults with the state of their chances.
#[derive(Debug, Default)]
pub(super) struct Fate {
    faults: Faults,
    random: u64,
}

impl Fate {
    pub(super) fn new(faults: Faults) -> Self {
        Fate {
            random: faults.seed,
            faults,
        }
    }

    pub(super) fn add(&mut self, shot: OneShot) {
        self.faults.script.push_back(shot);
    }

    /// What shall happen to this request, if anything.
    pub(super) fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        let fits = |shot: &OneShot| {
            (shot.method.is_empty() || shot.method == method) && path.starts_with(&shot.path)
        };
        if let Some(at) = self.faults.script.iter().position(fits) {
            return self.faults.script.remove(at).map(|shot| shot.fault);
        }
        if let Some(status) = self.faults.refuse {
            return Some(Fault::Refuse(status));
        }
        if self.chance(self.faults.drop_before) {
            return Some(Fault::DropBefore);
        }
        if self.chance(self.faults.drop_after) {
            return Some(Fault::DropAfter);
        }
        let (share, time) = self.faults.stall?;
        self.chance(share).then_some(Fault::Stall(time))
    }

    // SplitMix64: short, and good enough for dice.
    fn chance(&mut self, share: f64) -> bool {
        if share <= 0.0 {
            return false;
        }
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 <= share
    }
}
