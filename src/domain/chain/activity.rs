//! Activity: how many transactions a chain had in each hour of a week, from a sample of its blocks.
//!
//! Only some blocks of each hour are read. Their mean, times the blocks that the hour had, is the
//! hour's figure. How many blocks it had follows from numbers and times, which need no more reading.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// The hours of a week.
pub const HOURS_A_WEEK: usize = 168;

const SECONDS_AN_HOUR: i64 = 3600;
const HOURS_A_DAY: usize = 24;

/// The figures that were read of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    pub number: u64,
    /// Some blocks bear no time.
    pub at: Option<Timestamp>,
    /// Without what the block's author put in (inherents).
    pub transactions: u32,
}

/// One hour of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HourActivity {
    /// Blocks read.
    pub blocks: u32,
    /// `None` where no block was read.
    pub transactions: Option<f64>,
}

/// The week, and what it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// In UTC, from Monday 00:00: [`HOURS_A_WEEK`] of them.
    pub hours: Vec<HourActivity>,
    /// Transactions an hour, over the hours that are known.
    pub mean: f64,
    /// Blocks that were counted.
    pub blocks: usize,
    /// The numbers of the first and the last of them.
    pub numbers: (u64, u64),
    pub from: Timestamp,
    pub until: Timestamp,
}

/// The place of an instant in the week, from Monday 00:00 UTC.
pub fn hour_of_week(at: Timestamp) -> usize {
    // 1970 began on a Thursday.
    let hours = at.as_second().div_euclid(SECONDS_AN_HOUR) + 3 * 24;
    usize::try_from(hours.rem_euclid(7 * 24)).unwrap_or(0)
}

/// The last full hour at `at`, and the beginning of the week before it.
pub fn last_week(at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let until =
        Timestamp::from_second(at.as_second().div_euclid(SECONDS_AN_HOUR) * SECONDS_AN_HOUR)
            .ok()?;
    Some((
        until.checked_sub(SignedDuration::from_hours(7 * 24)).ok()?,
        until,
    ))
}

/// `y` at `x` on the line through the nearest points; `None` before the first and behind the last.
fn between(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let behind = points.partition_point(|(px, _)| *px < x);
    let (right_x, right_y) = *points.get(behind)?;
    if right_x <= x {
        return Some(right_y);
    }
    let (left_x, left_y) = *points.get(behind.checked_sub(1)?)?;
    Some(left_y + (right_y - left_y) * (x - left_x) / (right_x - left_x))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// Seconds and number of each block that bears a time.
fn times(blocks: &BTreeMap<u64, Sampled>) -> Vec<(f64, f64)> {
    blocks
        .values()
        .filter_map(|b| Some((seconds(b.at?), b.number as f64)))
        .collect()
}

/// The numbers of blocks to read, so that from `from` to `until` there is one in each `step`, as far as the times of the `known`
/// ones tell.
pub fn wanted(
    known: &BTreeMap<u64, Sampled>,
    from: Timestamp,
    until: Timestamp,
    step: SignedDuration,
) -> BTreeSet<u64> {
    let by_time = times(known);
    let mut numbers = BTreeSet::new();
    let mut begin = from;
    while begin < until {
        let Ok(end) = begin.checked_add(step) else {
            break;
        };
        let (start, stop) = (seconds(begin), seconds(end));
        let first = by_time.partition_point(|(at, _)| *at < start);
        if by_time.get(first).is_none_or(|(at, _)| *at >= stop) {
            let number = between(&by_time, f64::midpoint(start, stop)).map(|n| n.round() as u64);
            numbers.extend(number.filter(|n| !known.contains_key(n)));
        }
        begin = end;
    }
    numbers
}

impl Activity {
    /// The last full week up to `last`, or as much of it as the blocks cover. `None` where they bear no time, or cover no hour.
    pub fn of(blocks: &BTreeMap<u64, Sampled>, last: Timestamp) -> Option<Self> {
        let by_time = times(blocks);
        let by_number: Vec<(f64, f64)> =
            by_time.iter().map(|(at, number)| (*number, *at)).collect();
        let (from, until) = last_week(last)?;
        let second = |b: &Sampled| match b.at {
            Some(at) => Some(seconds(at)),
            None => between(&by_number, b.number as f64),
        };
        let timed: Vec<(f64, &Sampled)> = blocks
            .values()
            .filter_map(|b| Some((second(b)?, b)))
            .collect();
        let mut hours = vec![HourActivity::default(); HOURS_A_WEEK];
        let (mut first_hour, mut counted, mut numbers) = (None, 0, None);
        let mut begin = from;
        while begin < until {
            let end = begin
                .checked_add(SignedDuration::from_secs(SECONDS_AN_HOUR))
                .ok()?;
            let (start, stop) = (seconds(begin), seconds(end));
            let inside: Vec<&Sampled> = timed
                .iter()
                .filter(|(at, _)| *at >= start && *at < stop)
                .map(|(_, b)| *b)
                .collect();
            // An hour that the sample covers in part is left out: how many blocks it had isn't known.
            if let (Some(a), Some(z), false) = (
                between(&by_time, start),
                between(&by_time, stop),
                inside.is_empty(),
            ) {
                let sum: u32 = inside.iter().map(|b| b.transactions).sum();
                if let Some(hour) = hours.get_mut(hour_of_week(begin)) {
                    hour.blocks = u32::try_from(inside.len()).unwrap_or(u32::MAX);
                    hour.transactions = Some(f64::from(sum) / inside.len() as f64 * (z - a));
                }
                first_hour.get_or_insert(begin);
                counted += inside.len();
                for block in inside {
                    numbers = Some(numbers.map_or((block.number, block.number), |(first, _)| {
                        (first, block.number)
                    }));
                }
            }
            begin = end;
        }
        Some(Self {
            mean: mean(hours.iter()).unwrap_or(0.0),
            hours,
            blocks: counted,
            numbers: numbers?,
            from: first_hour?,
            until,
        })
    }

    /// Transactions an hour to be expected at an instant: the mean of that hour of the week and of the same hour on all days of
    /// its kind (Monday to Friday, or the weekend), in UTC. One week has accidents; what comes back each day hasn't.
    pub fn expected(&self, at: Timestamp) -> Option<f64> {
        let place = hour_of_week(at);
        let usual = self.usual(place % HOURS_A_DAY, place / HOURS_A_DAY >= 5);
        let own = self.hours.get(place).and_then(|h| h.transactions);
        own.zip(usual).map(|(a, b)| f64::midpoint(a, b)).or(usual)
    }

    /// Transactions in an hour of the day, on a day from Monday to Friday or on the weekend.
    pub fn usual(&self, hour: usize, weekend: bool) -> Option<f64> {
        mean(
            self.hours
                .iter()
                .enumerate()
                .filter(|(i, _)| i % HOURS_A_DAY == hour && (i / HOURS_A_DAY >= 5) == weekend)
                .map(|(_, h)| h),
        )
    }

    /// How much of the week is behind the figures.
    pub fn covers(&self) -> SignedDuration {
        self.until.duration_since(self.from)
    }
}

fn mean<'a>(hours: impl Iterator<Item = &'a HourActivity>) -> Option<f64> {
    let known: Vec<f64> = hours.filter_map(|h| h.transactions).collect();
    if known.is_empty() {
        None
    } else {
        Some(known.iter().sum::<f64>() / known.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Blocks each `pace` seconds up to `last`, `count` of them; transactions as told.
    fn chain(
        last: Timestamp,
        pace: i64,
        count: u64,
        transactions: impl Fn(Timestamp) -> u32,
    ) -> BTreeMap<u64, Sampled> {
        (1..=count)
            .map(|number| {
                let back = i64::try_from(count - number).unwrap() * pace;
                let time = last.checked_sub(SignedDuration::from_secs(back)).unwrap();
                (
                    number,
                    Sampled {
                        number,
                        at: Some(time),
                        transactions: transactions(time),
                    },
                )
            })
            .collect()
    }

    #[test]
    fn the_week_begins_on_monday() {
        assert_eq!(hour_of_week(at("2026-12-07T00:00:00Z")), 0); // a Monday
        assert_eq!(hour_of_week(at("2026-12-06T23:59:59Z")), 167);
        assert_eq!(hour_of_week(at("2026-12-10T13:30:00Z")), 3 * 24 + 13);
        assert_eq!(hour_of_week(at("1969-12-31T23:00:00Z")), 2 * 24 + 23);
    }

    #[test]
    fn an_hours_figure_is_the_mean_times_the_blocks_it_had() {
        // One block in ten minutes is known; the chain makes one a minute, with 3 transactions each.
        let last = at("2026-12-10T13:30:00Z");
        let all = chain(last, 60, 8 * 24 * 60, |t| {
            if hour_of_week(t) == 5 { 1 } else { 3 }
        });
        let some: BTreeMap<u64, Sampled> = all.into_iter().filter(|(n, _)| n % 10 == 0).collect();
        let activity = Activity::of(&some, last).unwrap();
        assert_eq!(activity.until, at("2026-12-10T13:00:00Z"));
        assert_eq!(activity.from, at("2026-12-03T13:00:00Z"));
        assert!(activity.hours.iter().all(|h| h.blocks == 6));
        for (i, hour) in activity.hours.iter().enumerate() {
            let expected = if i == 5 { 60.0 } else { 180.0 };
            assert!(
                (hour.transactions.unwrap() - expected).abs() < 0.01,
                "{i}: {hour:?}"
            );
        }
        // Half of Monday's own hour, half of what all five days have at that hour.
        let usual = (60.0 + 4.0 * 180.0) / 5.0;
        assert!(
            (activity.expected(at("2026-12-14T05:10:00Z")).unwrap() - f64::midpoint(60.0, usual))
                .abs()
                < 0.01
        );
    }

    #[test]
    fn a_young_chain_covers_what_it_covers_and_one_without_times_nothing() {
        let last = at("2026-12-10T13:30:00Z");
        let young = chain(last, 60, 600, |_| 1); // ten hours, from 03:31
        let activity = Activity::of(&young, last).unwrap();
        assert_eq!(
            (activity.from, activity.covers().as_hours()),
            (at("2026-12-10T04:00:00Z"), 9)
        );
        assert_eq!(
            activity
                .hours
                .iter()
                .filter(|h| h.transactions.is_some())
                .count(),
            9
        );
        let mut timeless = young;
        timeless.values_mut().for_each(|b| b.at = None);
        assert_eq!(Activity::of(&timeless, last), None);
    }

    #[test]
    fn a_block_without_a_time_lies_between_its_neighbours() {
        let last = at("2026-12-10T13:00:00Z");
        let mut blocks = chain(last, 60, 300, |_| 2);
        blocks
            .values_mut()
            .filter(|b| b.number % 2 == 0 && b.number != 300)
            .for_each(|b| b.at = None);
        let activity = Activity::of(&blocks, last).unwrap();
        assert!(
            activity
                .hours
                .iter()
                .filter_map(|h| h.transactions)
                .all(|t| (t - 120.0).abs() < 0.01),
            "{activity:?}"
        );
    }

    #[test]
    fn what_is_wanted_is_spread_and_not_asked_twice() {
        let last = at("2026-12-10T13:00:00Z");
        let (from, until) = last_week(last).unwrap();
        let step = SignedDuration::from_mins(10);
        let all = chain(last, 6, 200_000, |_| 1);
        let mut known: BTreeMap<u64, Sampled> =
            [1, 200_000].into_iter().map(|n| (n, all[&n])).collect();
        let first = wanted(&known, from, until, step);
        assert_eq!(first.len(), 6 * HOURS_A_WEEK);
        known.extend(first.iter().map(|n| (*n, all[n])));
        assert!(wanted(&known, from, until, step).is_empty());
        assert!(
            Activity::of(&known, last)
                .unwrap()
                .hours
                .iter()
                .all(|h| h.blocks == 6)
        );
    }

    #[test]
    fn what_lies_between_two_points_is_on_their_line() {
        let points = [(10.0, 100.0), (20.0, 300.0), (40.0, 300.0)];
        let found = [9.0, 10.0, 12.5, 20.0, 30.0, 40.0, 41.0].map(|x| between(&points, x));
        let expected = [
            None,
            Some(100.0),
            Some(150.0),
            Some(300.0),
            Some(300.0),
            Some(300.0),
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_activity_tells_what_it_was_made_from() {
        let last = at("2026-12-10T13:30:00Z");
        let hour = at("2026-12-10T12:00:00Z");
        // Three blocks a second apart from the hour's begin on, and some in the hours before and behind it.
        let bounds = [-3600, 0, 1, 2, 3600, 7201];
        let blocks: BTreeMap<u64, Sampled> = (10_u64..)
            .zip(bounds)
            .map(|(number, second)| {
                let sampled = Sampled {
                    number,
                    at: hour.checked_add(SignedDuration::from_secs(second)).ok(),
                    transactions: u32::try_from(number).unwrap(),
                };
                (number, sampled)
            })
            .collect();
        let activity = Activity::of(&blocks, last).unwrap();
        assert_eq!((activity.blocks, activity.numbers), (4, (10, 13)));
        assert_eq!(activity.from, at("2026-12-10T11:00:00Z"));
        let figures: Vec<HourActivity> = activity
            .hours
            .iter()
            .filter(|h| h.transactions.is_some())
            .copied()
            .collect();
        // The mean of the blocks that were read, times the blocks from the hour's begin to its end.
        let expected = [(1, 10.0 * 1.0), (3, 12.0 * 3.0)];
        let expected = expected.map(|(blocks, transactions)| HourActivity {
            blocks,
            transactions: Some(transactions),
        });
        assert_eq!(figures, expected);
        assert_eq!(activity.mean, 23.0);
    }

    #[test]
    fn hours_of_workdays_and_of_the_weekend_are_apart() {
        let mut hours = vec![HourActivity::default(); HOURS_A_WEEK];
        // At 5 o'clock on Monday, Friday, Saturday and Sunday; at 6 on Monday.
        for (place, transactions) in [(5, 10.0), (101, 30.0), (125, 50.0), (149, 70.0), (6, 8.0)] {
            hours[place].transactions = Some(transactions);
        }
        let activity = Activity {
            hours,
            mean: 0.0,
            blocks: 0,
            numbers: (0, 0),
            from: at("2026-12-07T00:00:00Z"),
            until: at("2026-12-14T00:00:00Z"),
        };
        let usual = [(5, false), (5, true), (6, false), (6, true), (7, false)]
            .map(|(hour, weekend)| activity.usual(hour, weekend));
        assert_eq!(usual, [Some(20.0), Some(60.0), Some(8.0), None, None]);
        let expected = [
            "2026-12-07T05:59:59Z",
            "2026-12-08T05:00:00Z",
            "2026-12-13T05:00:00Z",
            "2026-12-13T06:00:00Z",
        ]
        .map(|time| activity.expected(at(time)));
        assert_eq!(expected, [Some(15.0), Some(20.0), Some(65.0), None]);
    }

    #[test]
    fn a_week_ends_with_the_last_full_hour() {
        let week = last_week(at("2026-12-10T13:00:00Z"));
        let expected = (at("2026-12-03T13:00:00Z"), at("2026-12-10T13:00:00Z"));
        assert_eq!(week, Some(expected));
    }

    #[test]
    fn a_block_is_wanted_in_each_step_that_has_none() {
        let begin = at("2026-12-10T12:00:00Z");
        let after = |second| {
            begin
                .checked_add(SignedDuration::from_secs(second))
                .unwrap()
        };
        let sampled = |number, second| {
            let at = Some(after(second));
            let transactions = 1;
            (
                number,
                Sampled {
                    number,
                    at,
                    transactions,
                },
            )
        };
        // A block each ten seconds; one is known at the begin of the second minute, and one behind the end.
        let known = BTreeMap::from([sampled(0, 0), sampled(6, 60), sampled(40, 400)]);
        let minute = SignedDuration::from_secs(60);
        let found = wanted(&known, begin, after(300), minute);
        assert_eq!(found, BTreeSet::from([15, 21, 27]));
        // Where no other block can lie there, none is asked for.
        let known = BTreeMap::from([sampled(0, -200), sampled(1, 400)]);
        assert!(wanted(&known, begin, after(60), minute).is_empty());
    }
}
