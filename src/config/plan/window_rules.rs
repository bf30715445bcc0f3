//! What the plan asks of a window: no weekend, nobody's night, and time enough to hear of it.

use jiff::{SignedDuration, Timestamp, civil::Time};

use super::Plan;
use crate::domain::{campaign::upgrade::Urgency, plan::window::Home};

impl Plan {
    /// Tells whether a window that opens then opens on a weekend, though its plan allows none.
    pub fn is_on_weekend(&self, urgency: Urgency, opens: Timestamp) -> bool {
        let is_free = self
            .zone
            .to_datetime(opens)
            .weekday()
            .to_monday_zero_offset()
            >= 5;
        is_free && self.plans.get(&urgency).is_some_and(|plan| !plan.weekends)
    }

    /// Lists the people in whose night a window opens, though its plan allows no nights: `Singapore (22:30)`.
    pub fn asleep(&self, urgency: Urgency, opens: Timestamp) -> Vec<String> {
        if self.plans.get(&urgency).is_none_or(|plan| plan.nights) {
            return Vec::new();
        }
        let homes = self.people.iter();
        homes
            .filter_map(|home| asleep(home, opens, self.night))
            .collect()
    }

    /// The time for which people are promised to know of a window before it opens, if less is left.
    pub fn promised_notice(
        &self,
        urgency: Urgency,
        opens: Timestamp,
        now: Timestamp,
    ) -> Option<SignedDuration> {
        let least = self.plans.get(&urgency)?.least_notice;
        let left = opens.duration_since(now);
        (left.is_positive() && left < least).then_some(least)
    }
}

/// Returns `Singapore (22:30)`, if it is night there.
fn asleep(home: &Home, at: Timestamp, (from, until): (Time, Time)) -> Option<String> {
    let time = home.zone.to_datetime(at).time();
    let night = if from <= until {
        from <= time && time < until
    } else {
        from <= time || time < until
    };
    night.then(|| format!("{} ({})", home.city(), time.strftime("%H:%M")))
}
