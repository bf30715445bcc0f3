//! The posts of an upgrade when all goes well.

use std::collections::BTreeMap;

use crate::{
    config::Config,
    domain::{
        campaign::upgrade::{Urgency, Window},
        plan::notice::{Happening, Trigger},
    },
};

/// The happenings that are posted on the day of the window when all goes well.
pub(super) const ON_THE_DAY: [Happening; 5] = [
    Happening::Authorized,
    Happening::FirstApplied,
    Happening::Applied,
    Happening::Verified,
    Happening::Completed,
];

/// The happenings besides that come once an upgrade when all goes well, on other days.
const ON_OTHER_DAYS: [Happening; 3] = [
    Happening::Planned,
    Happening::WindowSet,
    Happening::FeedbackClosed,
];

/// The posts of an upgrade in one channel when all goes well, and how many of them notify people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedPosts {
    pub posts: usize,
    pub mentions: usize,
}

/// Counts the posts of an upgrade when all goes well, by channel.
pub fn expected_posts<'a>(
    config: &'a Config,
    urgency: Urgency,
    window: &Window,
    several_chains: bool,
) -> BTreeMap<&'a str, ExpectedPosts> {
    let plan = &config.plan;
    let mut expected: BTreeMap<&str, ExpectedPosts> = BTreeMap::new();
    for notice in plan.notices(urgency) {
        let count = match notice.trigger {
            Trigger::On(Happening::FirstApplied) => usize::from(several_chains),
            Trigger::On(happening) => {
                usize::from(ON_THE_DAY.contains(&happening) || ON_OTHER_DAYS.contains(&happening))
            }
            Trigger::At(_) | Trigger::Cron(_) => {
                notice.trigger.times(window.opens, &plan.zone).len()
            }
        };
        for name in &notice.channels {
            let notifies = config.deployment.notifies(name, &notice.mention);
            let own = expected.entry(name).or_default();
            own.posts += count;
            own.mentions += if notifies { count } else { 0 };
        }
    }
    expected.retain(|_, own| own.posts > 0);
    expected
}
