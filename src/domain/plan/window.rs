//! Proposes times for an upgrade's window: quiet hours of the chain in which people are there.
//!
//! Each candidate has points, and each of its points has a reason in words:
//!
//! | part | points |
//! | --- | --- |
//! | traffic, compared with the week's mean | 40 for none, 20 for the mean, 0 for twice as much |
//! | people, by the clock where they live | 40 if it is day for all (8–20), half in the early and late hours, −20 if all are asleep (23–6) |
//! | weekday, where they live | 20 from Monday to Thursday, 10 on Friday, −40 on the weekend |
//! | clocks | −10 if they change between the first notice and the end, −40 if they do within the window |

use jiff::{
    SignedDuration, Timestamp,
    civil::{DateTime, Time, Weekday},
    tz::TimeZone,
};

use super::{
    notice::{Notice, Trigger},
    schedule::{Offset, civil_instant},
};
use crate::domain::chain::activity::Activity;

/// Points are counted at steps of this length in a window, and averaged.
const SCORE_EVERY: SignedDuration = SignedDuration::from_mins(15);
/// At most this many windows are proposed.
const MAX_PROPOSALS: usize = 5;
/// The search covers more days if the clocks change before the best window of the first ones.
const SEARCH_DAYS: i64 = 7;
const LONG_SEARCH_DAYS: i64 = 21;

/// A place where a part of the people live.
#[derive(Clone, Debug, PartialEq)]
pub struct Home {
    /// The zone's name as written: `Europe/Berlin`.
    pub name: String,
    pub zone: TimeZone,
    /// The number of people there, compared with the other homes.
    pub weight: f64,
}

impl Home {
    /// Returns the city in the zone's name: `New York`.
    pub fn city(&self) -> String {
        self.name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .replace('_', " ")
    }
}

/// The presence of people, by their own clock. The most present comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Day,
    Late,
    Early,
    Asleep,
}

impl Presence {
    fn at(hour: i8) -> Self {
        match hour {
            8..=19 => Self::Day,
            20..=22 => Self::Late,
            6..=7 => Self::Early,
            _ => Self::Asleep,
        }
    }

    fn worth(self) -> f64 {
        match self {
            Self::Day => 1.0,
            Self::Late | Self::Early => 0.5,
            Self::Asleep => -0.5,
        }
    }
}

/// A request for windows.
#[derive(Clone, Debug)]
pub struct WindowRequest<'a> {
    pub length: SignedDuration,
    /// No window opens before this.
    pub from: Timestamp,
    /// The zone in which windows are searched and written.
    pub zone: &'a TimeZone,
    /// The first notice goes out at this offset from the opening.
    pub lead: Offset,
}

/// The points for one aspect of a window, and the reason for them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ScorePart {
    pub name: &'static str,
    pub points: i32,
    pub reason: String,
}

/// A window as one home's clocks show it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Local {
    pub zone: String,
    pub weight: f64,
    pub opens: DateTime,
    pub closes: DateTime,
    /// The least presence in the window.
    pub presence: Presence,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub opens: Timestamp,
    pub closes: Timestamp,
    pub score: i32,
    /// The number of transactions an hour that are to be expected.
    pub transactions: Option<f64>,
    /// The expected transactions, as a share of the week's mean.
    pub share: Option<f64>,
    pub locals: Vec<Local>,
    pub parts: Vec<ScorePart>,
}

/// Finds the plan's first notice before the opening: its id and its offset.
pub fn longest_lead(notices: &[Notice]) -> Option<(&str, Offset)> {
    let apart = |offset: Offset| match offset {
        Offset::Days(days) => days.saturating_mul(86_400),
        Offset::Exact(seconds) => seconds,
    };
    let offsets = notices.iter().filter_map(|notice| match &notice.trigger {
        Trigger::At(offset) => Some((notice.id.as_str(), *offset)),
        Trigger::Cron(rule) => Some((notice.id.as_str(), rule.from)),
        Trigger::On(_) => None,
    });
    offsets
        .filter(|(_, offset)| apart(*offset) < 0)
        .min_by_key(|(_, offset)| apart(*offset))
}

/// Returns the first midnight at which a window chosen at `now` can open, with all its notices.
pub fn earliest(now: Timestamp, lead: Offset, zone: &TimeZone) -> Option<Timestamp> {
    let ahead = match lead {
        Offset::Days(days) => Offset::Days(days.checked_neg()?),
        Offset::Exact(seconds) => Offset::Exact(seconds.checked_neg()?),
    };
    let possible = zone.to_datetime(ahead.from(now, zone)?);
    civil_instant(
        possible
            .date()
            .tomorrow()
            .ok()?
            .to_datetime(Time::midnight()),
        zone,
    )
}

/// Returns the best windows first, on different days if possible. Only the arguments decide.
pub fn propose(
    activity: Option<&Activity>,
    people: &[Home],
    wish: &WindowRequest<'_>,
) -> Vec<Proposal> {
    // The home with the most people comes first, so that its day is the one that is named.
    let mut people: Vec<&Home> = people.iter().collect();
    people.sort_by(|a, b| {
        b.weight
            .total_cmp(&a.weight)
            .then_with(|| a.name.cmp(&b.name))
    });
    let mut all: Vec<(i64, Proposal)> = Vec::new();
    let first = wish.zone.to_datetime(wish.from).date();
    for day in 0..=LONG_SEARCH_DAYS {
        for hour in 0..24_i8 {
            let civil = jiff::Span::new()
                .try_days(day)
                .ok()
                .and_then(|d| first.checked_add(d).ok())
                .map(|date| date.at(hour, 0, 0, 0));
            let Some(opens) = civil
                .and_then(|civil| civil_instant(civil, wish.zone))
                .filter(|opens| *opens >= wish.from)
            else {
                continue;
            };
            if all.last().is_some_and(|(_, last)| last.opens == opens) {
                continue; // a change of the clocks leaves this hour out
            }
            let proposal = opens
                .checked_add(wish.length)
                .ok()
                .map(|closes| judge(activity, &people, wish, opens, closes));
            all.extend(proposal.map(|p| (opens.duration_since(wish.from).as_hours() / 24, p)));
        }
    }
    let changes = |p: &Proposal| p.parts.iter().any(|part| part.name == "clocks");
    let mut ranked = rank(&all, SEARCH_DAYS);
    if ranked.first().is_some_and(changes) {
        ranked = rank(&all, LONG_SEARCH_DAYS);
    }
    choose(&ranked, wish.zone)
}

fn rank(all: &[(i64, Proposal)], days: i64) -> Vec<Proposal> {
    let mut ranked: Vec<Proposal> = all
        .iter()
        .filter(|(day, _)| *day < days)
        .map(|(_, p)| p.clone())
        .collect();
    ranked.sort_by(|a, b| b.score.cmp(&a.score).then(a.opens.cmp(&b.opens)));
    ranked
}

fn choose(ranked: &[Proposal], zone: &TimeZone) -> Vec<Proposal> {
    let day = |p: &Proposal| zone.to_datetime(p.opens).date();
    let overlap = |a: &Proposal, b: &Proposal| a.opens < b.closes && b.opens < a.closes;
    let mut chosen: Vec<Proposal> = Vec::new();
    for same_day in [false, true] {
        for p in ranked {
            if chosen.len() < MAX_PROPOSALS
                && !chosen
                    .iter()
                    .any(|c| overlap(c, p) || (!same_day && day(c) == day(p)))
            {
                chosen.push(p.clone());
            }
        }
    }
    chosen.sort_by(|a, b| b.score.cmp(&a.score).then(a.opens.cmp(&b.opens)));
    chosen
}

fn steps(opens: Timestamp, closes: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(Some(opens), move |at| {
        at.checked_add(SCORE_EVERY)
            .ok()
            .filter(|next| *next < closes)
    })
}

fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        None
    } else {
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }
}

fn points(value: f64) -> i32 {
    value.round() as i32
}

fn judge(
    activity: Option<&Activity>,
    people: &[&Home],
    wish: &WindowRequest<'_>,
    opens: Timestamp,
    closes: Timestamp,
) -> Proposal {
    let at: Vec<Timestamp> = steps(opens, closes).collect();
    let transactions = activity.and_then(|a| {
        mean(
            &at.iter()
                .filter_map(|t| a.expected(*t))
                .collect::<Vec<f64>>(),
        )
    });
    let share = transactions
        .zip(activity)
        .filter(|(_, a)| a.mean > 0.0)
        .map(|(t, a)| t / a.mean);
    let mut parts = Vec::new();
    if let Some(share) = share {
        let reason = format!("{:.0} % of the week's mean traffic", share * 100.0);
        parts.push(ScorePart {
            name: "traffic",
            points: points(20.0 * (2.0 - share.min(2.0))),
            reason,
        });
    }
    let locals: Vec<Local> = people
        .iter()
        .map(|home| local(home, opens, closes, &at))
        .collect();
    parts.push(presence(people, &locals, &at, wish));
    parts.push(weekday(people, &at, opens));
    parts.extend(clocks(people, wish, opens, closes));
    let score = parts.iter().map(|part| part.points).sum();
    Proposal {
        opens,
        closes,
        score,
        transactions,
        share,
        locals,
        parts,
    }
}

fn local(home: &Home, opens: Timestamp, closes: Timestamp, at: &[Timestamp]) -> Local {
    let least = at
        .iter()
        .map(|t| Presence::at(home.zone.to_datetime(*t).hour()))
        .max();
    Local {
        zone: home.name.clone(),
        weight: home.weight,
        opens: home.zone.to_datetime(opens),
        closes: home.zone.to_datetime(closes),
        presence: least.unwrap_or(Presence::Asleep),
    }
}

/// Returns the mean of `worth` over people and steps.
fn weighted(people: &[&Home], at: &[Timestamp], worth: impl Fn(DateTime) -> f64) -> f64 {
    let all: f64 = people.iter().map(|home| home.weight).sum();
    let sum: f64 = people
        .iter()
        .map(|home| {
            home.weight
                * mean(
                    &at.iter()
                        .map(|t| worth(home.zone.to_datetime(*t)))
                        .collect::<Vec<f64>>(),
                )
                .unwrap_or(0.0)
        })
        .sum();
    if all > 0.0 { sum / all } else { 0.0 }
}

fn presence(
    people: &[&Home],
    locals: &[Local],
    at: &[Timestamp],
    wish: &WindowRequest<'_>,
) -> ScorePart {
    let day = at.first().map(|opens| wish.zone.to_datetime(*opens).date());
    let words: Vec<String> = people
        .iter()
        .zip(locals)
        .map(|(home, local)| {
            let weekday = if day == Some(local.opens.date()) {
                String::new()
            } else {
                format!("{} ", local.opens.strftime("%a"))
            };
            let state = match local.presence {
                Presence::Day => "",
                Presence::Late => " (late)",
                Presence::Early => " (early)",
                Presence::Asleep => " (asleep)",
            };
            format!(
                "{weekday}{}–{} in {}{state}",
                local.opens.strftime("%H:%M"),
                local.closes.strftime("%H:%M"),
                home.city()
            )
        })
        .collect();
    ScorePart {
        name: "people",
        points: points(40.0 * weighted(people, at, |civil| Presence::at(civil.hour()).worth())),
        reason: words.join(", "),
    }
}

fn weekday(people: &[&Home], at: &[Timestamp], opens: Timestamp) -> ScorePart {
    let worth = |civil: DateTime| match civil.weekday() {
        Weekday::Friday => 0.5,
        Weekday::Saturday | Weekday::Sunday => -2.0,
        _ => 1.0,
    };
    let mut words = Vec::new();
    let mut first = None;
    for home in people {
        let civil = home.zone.to_datetime(opens);
        match first {
            None => words.push(format!("a {}", civil.strftime("%A"))),
            Some(weekday) if weekday != civil.weekday() => {
                words.push(format!("{} in {}", civil.strftime("%A"), home.city()))
            }
            Some(_) => {}
        }
        first.get_or_insert(civil.weekday());
    }
    ScorePart {
        name: "weekday",
        points: points(20.0 * weighted(people, at, worth)),
        reason: words.join(", "),
    }
}

/// Returns a deduction if the clocks change after the first notice: noted times are then wrong.
fn clocks(
    people: &[&Home],
    wish: &WindowRequest<'_>,
    opens: Timestamp,
    closes: Timestamp,
) -> Option<ScorePart> {
    let told = wish.lead.from(opens, wish.zone)?.min(opens);
    let change = |home: &&Home| {
        let change = home
            .zone
            .following(told)
            .take_while(|t| t.timestamp() < closes)
            .find(|t| {
                let before = t.timestamp().checked_sub(SignedDuration::from_secs(1));
                before.is_ok_and(|before| home.zone.to_offset(before) != t.offset())
            })?;
        Some((
            home.city(),
            change.timestamp(),
            home.zone.to_datetime(change.timestamp()),
        ))
    };
    let changes: Vec<(String, Timestamp, DateTime)> = people.iter().filter_map(change).collect();
    if changes.is_empty() {
        return None;
    }
    let inside = changes.iter().any(|(_, at, _)| *at > opens);
    let list: Vec<String> = changes
        .iter()
        .map(|(city, _, civil)| format!("{} in {city}", civil.strftime("%a %-d %b")))
        .collect();
    let when = if inside {
        "in the middle of the window"
    } else {
        "between the first notice and the window"
    };
    let reason = format!("the clocks change {when}: {}", list.join(", "));
    Some(ScorePart {
        name: "clocks",
        points: if inside { -40 } else { -10 },
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        chain::activity::{HOURS_A_WEEK, HourActivity, hour_of_week},
        plan::{notice::Phase, schedule::CronRule},
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn home(name: &str, weight: f64) -> Home {
        Home {
            name: name.into(),
            zone: TimeZone::get(name).unwrap(),
            weight,
        }
    }

    fn three() -> Vec<Home> {
        vec![
            home("Asia/Singapore", 2.0),
            home("America/New_York", 3.0),
            home("Europe/Berlin", 5.0),
        ]
    }

    /// Transactions by weekday (Monday is 0) and hour, in UTC.
    fn week(transactions: impl Fn(usize, usize) -> f64) -> Activity {
        let hours: Vec<HourActivity> = (0..HOURS_A_WEEK)
            .map(|i| HourActivity {
                blocks: 6,
                transactions: Some(transactions(i / 24, i % 24)),
            })
            .collect();
        let mean = hours.iter().filter_map(|h| h.transactions).sum::<f64>() / 168.0;
        let until = at("2026-12-07T00:00:00Z");
        Activity {
            hours,
            mean,
            blocks: 1008,
            numbers: (1, 100_800),
            from: at("2026-11-30T00:00:00Z"),
            until,
        }
    }

    fn wish(zone: &TimeZone, from: &str) -> WindowRequest<'static> {
        let zone: &'static TimeZone = Box::leak(Box::new(zone.clone()));
        WindowRequest {
            length: SignedDuration::from_hours(2),
            from: at(from),
            zone,
            lead: Offset::Days(-7),
        }
    }

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[test]
    fn the_quiet_hours_of_the_day_are_found_on_each_weekday() {
        let quiet = week(|_, hour| if (9..11).contains(&hour) { 10.0 } else { 100.0 });
        let found = propose(
            Some(&quiet),
            &three(),
            &wish(&berlin(), "2026-12-11T23:00:00Z"),
        );
        assert_eq!(found.len(), 5);
        let opens: Vec<String> = found.iter().map(|p| p.opens.to_string()).collect();
        let days = ["14", "15", "16", "17", "18"].map(|d| format!("2026-12-{d}T09:00:00Z"));
        assert_eq!(opens, days, "Monday to Thursday, then Friday");
        let best = &found[0];
        assert_eq!(best.score, best.parts.iter().map(|p| p.points).sum::<i32>());
        let reasons: Vec<(i32, &str)> = best
            .parts
            .iter()
            .map(|p| (p.points, p.reason.as_str()))
            .collect();
        let people =
            "10:00–12:00 in Berlin, 04:00–06:00 in New York (asleep), 17:00–19:00 in Singapore";
        assert_eq!(
            reasons,
            [
                (38, "11 % of the week's mean traffic"),
                (22, people),
                (20, "a Monday")
            ]
        );
        assert_eq!(found[4].parts[2].reason, "a Friday");
    }

    #[test]
    fn a_quieter_weekend_and_a_quieter_night_are_avoided() {
        let quiet = week(|day, hour| if day >= 5 || hour < 5 { 1.0 } else { 100.0 });
        for p in propose(
            Some(&quiet),
            &[home("Europe/Berlin", 1.0)],
            &wish(&berlin(), "2026-12-11T23:00:00Z"),
        ) {
            let local = &p.locals[0];
            assert!(
                !matches!(local.opens.weekday(), Weekday::Saturday | Weekday::Sunday),
                "{p:?}"
            );
            assert_eq!(local.presence, Presence::Day, "{p:?}");
        }
    }

    #[test]
    fn where_people_live_moves_the_window() {
        let even = week(|_, _| 50.0);
        let hour = |people: &[Home]| {
            propose(
                Some(&even),
                people,
                &wish(&TimeZone::UTC, "2026-12-12T00:00:00Z"),
            )[0]
            .locals
            .clone()
        };
        let both = hour(&[home("Europe/Berlin", 1.0), home("America/New_York", 1.0)]);
        assert!(both.iter().all(|l| l.presence == Presence::Day), "{both:?}");
        assert_eq!(
            both[0].opens.hour(),
            8,
            "the earliest that is day for both: {both:?}"
        );
        let west = hour(&[
            home("America/Los_Angeles", 9.0),
            home("Asia/Singapore", 1.0),
        ]);
        assert_eq!(west[0].presence, Presence::Day, "most people count most");
    }

    #[test]
    fn the_weekday_is_that_of_the_people() {
        // Monday 08:00 in Singapore is still Sunday in New York.
        let people = [home("Asia/Singapore", 1.0), home("America/New_York", 1.0)];
        let p = judge(
            None,
            &[&people[0], &people[1]],
            &wish(&TimeZone::UTC, "2026-12-13T00:00:00Z"),
            at("2026-12-14T00:00:00Z"),
            at("2026-12-14T02:00:00Z"),
        );
        assert_eq!(
            (p.parts[1].points, p.parts[1].reason.as_str()),
            (-10, "a Monday, Sunday in New York")
        );
        assert_eq!(
            p.parts[0].reason,
            "08:00–10:00 in Singapore, Sun 19:00–21:00 in New York (late)"
        );
    }

    #[test]
    fn a_change_of_the_clocks_is_kept_out_of_the_way_and_said_where_it_can_not_be() {
        // New York changes on Sunday 1 November 2026; who is told a week before may read the old time.
        let even = week(|_, _| 50.0);
        let people = [home("America/New_York", 1.0)];
        let zone = TimeZone::get("America/New_York").unwrap();
        let found = propose(Some(&even), &people, &wish(&zone, "2026-11-02T05:00:00Z"));
        assert!(
            found.iter().all(|p| p.opens >= at("2026-11-08T06:00:00Z")),
            "the week after is free of it: {found:?}"
        );
        let wish = wish(&zone, "2026-10-31T05:00:00Z");
        let p = judge(
            None,
            &[&people[0]],
            &wish,
            at("2026-11-03T14:00:00Z"),
            at("2026-11-03T16:00:00Z"),
        );
        let clocks = p.parts.iter().find(|part| part.name == "clocks").unwrap();
        assert_eq!(
            clocks.reason,
            "the clocks change between the first notice and the window: Sun 1 Nov in New York"
        );
        let p = judge(
            None,
            &[&people[0]],
            &wish,
            at("2026-11-01T05:00:00Z"),
            at("2026-11-01T07:00:00Z"),
        );
        assert!(
            p.parts
                .iter()
                .any(|part| part.points == -40 && part.reason.contains("in the middle")),
            "{p:?}"
        );
        let p = judge(
            None,
            &[&people[0]],
            &wish,
            at("2026-10-30T14:00:00Z"),
            at("2026-10-30T16:00:00Z"),
        );
        assert!(p.parts.iter().all(|part| part.name != "clocks"));
    }

    #[test]
    fn without_activity_people_and_weekdays_decide() {
        let found = propose(None, &three(), &wish(&berlin(), "2026-12-11T23:00:00Z"));
        assert_eq!(found.len(), 5);
        assert_eq!((found[0].share, found[0].transactions), (None, None));
        assert_eq!(
            found[0].opens,
            at("2026-12-14T13:00:00Z"),
            "day in Berlin and New York, late in Singapore: {found:?}"
        );
        // A chain without any transactions has no quiet hour.
        let silent = propose(
            Some(&week(|_, _| 0.0)),
            &three(),
            &wish(&berlin(), "2026-12-11T23:00:00Z"),
        );
        assert_eq!(
            silent
                .iter()
                .map(|p| (p.share, p.opens))
                .collect::<Vec<_>>(),
            found.iter().map(|p| (None, p.opens)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn ties_go_to_the_earlier_and_the_order_of_homes_changes_nothing() {
        let even = week(|_, _| 50.0);
        let one = propose(
            Some(&even),
            &three(),
            &wish(&berlin(), "2026-12-11T23:00:00Z"),
        );
        let mut turned = three();
        turned.reverse();
        assert_eq!(
            one,
            propose(
                Some(&even),
                &turned,
                &wish(&berlin(), "2026-12-11T23:00:00Z")
            )
        );
        assert!(
            one.windows(2)
                .all(|pair| pair[0].score > pair[1].score || pair[0].opens < pair[1].opens)
        );
    }

    #[test]
    fn half_hour_zones_take_half_of_each_hour() {
        // 14:00 in Kolkata is 08:30 UTC: half of the hour of 8 and half of that of 9.
        let activity = week(|_, hour| if hour == 8 { 0.0 } else { 100.0 });
        let kolkata = [home("Asia/Kolkata", 1.0)];
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let mut wish = wish(&zone, "2026-12-13T18:30:00Z");
        wish.length = SignedDuration::from_hours(1);
        let p = judge(
            Some(&activity),
            &[&kolkata[0]],
            &wish,
            at("2026-12-14T08:30:00Z"),
            at("2026-12-14T09:30:00Z"),
        );
        assert_eq!(p.transactions, Some(50.0));
        assert_eq!(hour_of_week(at("2026-12-14T08:30:00Z")), 8);
    }

    #[test]
    fn a_long_window_still_finds_five_that_do_not_overlap() {
        let even = week(|_, _| 50.0);
        let mut wish = wish(&berlin(), "2026-12-11T23:00:00Z");
        wish.length = SignedDuration::from_hours(24);
        let found = propose(Some(&even), &three(), &wish);
        for (i, a) in found.iter().enumerate() {
            assert!(
                found
                    .iter()
                    .skip(i + 1)
                    .all(|b| a.closes <= b.opens || b.closes <= a.opens),
                "{found:?}"
            );
        }
        assert!(found.len() >= 4);
    }

    #[test]
    fn the_first_notice_sets_how_early_a_window_can_be() {
        let notice = |id: &str, trigger| Notice::new(id, Phase::Scheduling, "", trigger);
        let cron =
            CronRule::new("0 9 * * *", berlin(), Offset::Days(-9), Offset::Days(-2)).unwrap();
        let notices = [
            notice("a", Trigger::At(Offset::Exact(-3600))),
            notice("b", Trigger::Cron(Box::new(cron))),
        ];
        assert_eq!(longest_lead(&notices), Some(("b", Offset::Days(-9))));
        assert_eq!(
            longest_lead(&[notice("a", Trigger::At(Offset::Exact(600)))]),
            None
        );
        // Nine civil days from noon, then the next midnight in Berlin.
        assert_eq!(
            earliest(at("2026-12-01T12:00:00Z"), Offset::Days(-9), &berlin()),
            Some(at("2026-12-10T23:00:00Z"))
        );
        assert_eq!(
            earliest(at("2026-12-01T12:00:00Z"), Offset::Exact(0), &berlin()),
            Some(at("2026-12-01T23:00:00Z"))
        );
    }

    #[test]
    fn each_rule_has_its_points_up_to_its_edge() {
        let worth = [5, 6, 7, 8, 19, 20, 22, 23].map(|hour| Presence::at(hour).worth());
        assert_eq!(worth, [-0.5, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5, -0.5]);
        let person = home("America/New_York", 1.0);
        let wish = wish(&person.zone, "2026-10-31T05:00:00Z");
        let points = |opens: &str, closes: &str, name: &str| {
            let p = judge(None, &[&person], &wish, at(opens), at(closes));
            let part = p.parts.into_iter().find(|part| part.name == name);
            part.map(|part| part.points)
        };
        let weekdays = [5, 6, 7].map(|day| {
            let at = |hour: i64| format!("2026-11-0{day}T{hour}:00:00Z");
            points(&at(15), &at(17), "weekday").unwrap()
        });
        assert_eq!(weekdays, [20, 10, -40]);
        // The clocks change at six.
        let clocks = |opens: i64, closes: i64| {
            let at = |hour: i64| format!("2026-11-01T0{hour}:00:00Z");
            points(&at(opens), &at(closes), "clocks")
        };
        assert_eq!(clocks(4, 6), None);
        assert_eq!(clocks(5, 7), Some(-40));
        assert_eq!(clocks(6, 8), Some(-10));
        let at_opening = Trigger::At(Offset::Exact(0));
        let notice = Notice::new("a", Phase::Scheduling, "", at_opening);
        assert_eq!(longest_lead(&[notice]), None);
    }

    #[test]
    fn windows_of_one_day_are_proposed_once_no_other_day_is_left() {
        let person = home("Europe/Berlin", 1.0);
        let midnight = at("2026-12-14T00:00:00Z");
        let wish = wish(&TimeZone::UTC, "2026-12-14T00:00:00Z");
        let proposal = |hour: i64| {
            let after = |hours| midnight.checked_add(SignedDuration::from_hours(hours));
            let (opens, closes) = (after(hour).unwrap(), after(hour + 2).unwrap());
            judge(None, &[&person], &wish, opens, closes)
        };
        let chosen = choose(&[10, 8, 12, 9, 32].map(proposal), &TimeZone::UTC);
        let hours: Vec<i64> = chosen
            .iter()
            .map(|p| p.opens.duration_since(midnight).as_hours())
            .collect();
        assert_eq!(hours, [8, 10, 12, 32], "and none that overlaps");
    }
}
