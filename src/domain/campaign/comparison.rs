//! How a chain fares with the new runtime, compared with the worst of its own hours before.

use jiff::SignedDuration;

use crate::domain::chain::hours::Baseline;

/// Blocks after which their mean time is compared.
const MIN_BLOCKS: u32 = 10;
/// Finality that is no further behind is well on every chain, in blocks of six seconds.
const USUAL_LAG: u64 = 10;
/// Transactions are missing where so many blocks with one were to be expected and none came.
const MIN_EXPECTED: f64 = 5.0;
/// A chance of one in a million, below which something is no accident, and one of a hundred, below which it is doubted; as
/// logarithms.
const NO_ACCIDENT_LN: f64 = 13.8;
const DOUBT_LN: f64 = 4.6;

/// A healthy stretch in figures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub blocks: u32,
    pub length: SignedDuration,
    /// The blocks whose events are known, and those of them with a transaction.
    pub examined: u32,
    pub busy: u32,
    pub transactions: u32,
    pub failed: u32,
    /// Best minus finalized now, in blocks of the chain's own and in blocks of six seconds.
    pub lag: u64,
    pub lag_in_six_seconds: u64,
}

impl Run {
    /// Says in what it is so many times worse than the worst hour before.
    pub(super) fn trouble(&self, before: &Baseline, times: f64) -> Option<String> {
        let seconds = self.length.as_secs_f64() / f64::from(self.blocks.max(1));
        if self.blocks >= MIN_BLOCKS && seconds > before.block_seconds * times {
            return Some(format!(
                "a block takes {seconds:.1} s; in the slowest hour before it was {:.1} s",
                before.block_seconds
            ));
        }
        if let Some(lag) = before.lag
            && self.lag_in_six_seconds > USUAL_LAG
            && self.lag as f64 > lag as f64 * times
        {
            return Some(format!(
                "finality is {} blocks behind; in the hours before it was {lag} at most",
                self.lag
            ));
        }
        if self.fails_more(before, times, NO_ACCIDENT_LN) {
            return Some(self.many_failed(before));
        }
        self.is_quieter(before, times, NO_ACCIDENT_LN)
            .then(|| self.few(before))
    }

    /// Says that it is doubtful whether transactions come, and succeed, as before.
    pub(super) fn doubt(&self, before: &Baseline, times: f64) -> Option<String> {
        if self.fails_more(before, times, DOUBT_LN) {
            return Some(self.many_failed(before));
        }
        let is_silent = self.busy == 0 && self.expected(before) >= MIN_EXPECTED;
        (is_silent || self.is_quieter(before, times, DOUBT_LN)).then(|| self.few(before))
    }

    fn fails_more(&self, before: &Baseline, times: f64, least: f64) -> bool {
        let share = before.failed * times;
        share < 1.0
            && f64::from(self.failed) > f64::from(self.transactions) * share
            && improbability(self.failed, self.transactions, share) > least
    }

    fn is_quieter(&self, before: &Baseline, times: f64, least: f64) -> bool {
        let share = before.busy / times;
        share > 0.0
            && f64::from(self.busy) < f64::from(self.examined) * share
            && improbability(self.busy, self.examined, share) > least
    }

    /// The blocks with a transaction that the quietest hour would have had.
    fn expected(&self, before: &Baseline) -> f64 {
        f64::from(self.examined) * before.busy
    }

    fn many_failed(&self, before: &Baseline) -> String {
        format!(
            "{} of {} transactions failed; in the worst hour before it was {:.0} %",
            self.failed,
            self.transactions,
            before.failed * 100.0
        )
    }

    fn few(&self, before: &Baseline) -> String {
        format!(
            "{} of {} blocks have a transaction; in the quietest hour before, about {:.0} had one",
            self.busy,
            self.examined,
            self.expected(before)
        )
    }
}

/// How improbable so many hits are where each has the probability `share`: the logarithm of Chernoff's bound.
fn improbability(hits: u32, of: u32, share: f64) -> f64 {
    let found = f64::from(hits) / f64::from(of.max(1));
    let term = |found: f64, share: f64| {
        if found > 0.0 {
            found * (found / share).ln()
        } else {
            0.0
        }
    };
    f64::from(of) * (term(found, share) + term(1.0 - found, 1.0 - share))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Baseline = Baseline {
        block_seconds: 6.2,
        lag: Some(4),
        failed: 0.1,
        busy: 0.3,
    };

    /// A hundred blocks of six seconds that are as before.
    const RUN: Run = Run {
        blocks: 100,
        length: SignedDuration::from_secs(600),
        examined: 100,
        busy: 30,
        transactions: 200,
        failed: 20,
        lag: 3,
        lag_in_six_seconds: 3,
    };

    #[test]
    fn what_is_as_before_is_well_and_what_is_three_times_worse_is_named() {
        let cases: [(&str, Run, Option<&str>); 13] = [
            ("as before", RUN, None),
            (
                "slow",
                Run {
                    length: SignedDuration::from_secs(1861),
                    ..RUN
                },
                Some("a block takes 18.6 s; in the slowest hour before it was 6.2 s"),
            ),
            (
                "not that slow",
                Run {
                    length: SignedDuration::from_secs(1860),
                    ..RUN
                },
                None,
            ),
            ("slow, of few blocks", Run { blocks: 9, ..RUN }, None),
            (
                "behind",
                Run {
                    lag: 13,
                    lag_in_six_seconds: 13,
                    ..RUN
                },
                Some("finality is 13 blocks behind; in the hours before it was 4 at most"),
            ),
            (
                "not that far behind",
                Run {
                    lag: 12,
                    lag_in_six_seconds: 12,
                    ..RUN
                },
                None,
            ),
            (
                "behind by blocks of half a second",
                Run {
                    lag: 100,
                    lag_in_six_seconds: 10,
                    ..RUN
                },
                None,
            ),
            (
                "failures",
                Run { failed: 120, ..RUN },
                Some("120 of 200 transactions failed; in the worst hour before it was 10 %"),
            ),
            (
                "failures of few transactions",
                Run {
                    transactions: 10,
                    failed: 6,
                    ..RUN
                },
                None,
            ),
            ("a tenth is an accident", Run { busy: 1, ..RUN }, None),
            (
                "a tenth of many is none",
                Run {
                    blocks: 1000,
                    length: SignedDuration::from_secs(6000),
                    examined: 1000,
                    busy: 30,
                    ..RUN
                },
                Some(
                    "30 of 1000 blocks have a transaction; in the quietest hour before, about 300 had one",
                ),
            ),
            (
                "a third of many is well",
                Run {
                    blocks: 1000,
                    length: SignedDuration::from_secs(6000),
                    examined: 1000,
                    busy: 100,
                    ..RUN
                },
                None,
            ),
            (
                "nothing is known of the blocks",
                Run {
                    examined: 0,
                    busy: 0,
                    transactions: 0,
                    failed: 0,
                    ..RUN
                },
                None,
            ),
        ];
        for (name, run, trouble) in cases {
            assert_eq!(run.trouble(&BEFORE, 3.0).as_deref(), trouble, "{name}");
        }
    }

    #[test]
    fn where_no_hour_was_well_nothing_is_worse() {
        let before = Baseline {
            failed: 0.4,
            busy: 0.0,
            ..BEFORE
        };
        let run = Run {
            failed: 200,
            busy: 0,
            ..RUN
        };
        assert_eq!(run.trouble(&before, 3.0), None);
        assert_eq!(run.doubt(&before, 3.0), None);
    }

    #[test]
    fn transactions_are_doubted_where_some_were_to_come() {
        let doubt = |examined, busy| {
            let run = Run {
                examined,
                busy,
                ..RUN
            };
            assert_eq!(run.trouble(&BEFORE, 3.0), None);
            run.doubt(&BEFORE, 3.0)
        };
        let words =
            "0 of 17 blocks have a transaction; in the quietest hour before, about 5 had one";
        assert_eq!(doubt(17, 0).as_deref(), Some(words));
        assert_eq!((doubt(16, 0), doubt(17, 1)), (None, None));
        // Where a tenth would be well, one of 73 is doubted and one of 72 is not.
        let of = [72, 73].map(|examined| doubt(examined, 1).is_some());
        assert_eq!(of, [false, true]);
    }

    #[test]
    fn failures_are_doubted_before_they_are_no_accident() {
        let doubt = |failed| {
            let run = Run { failed, ..RUN };
            assert_eq!(run.trouble(&BEFORE, 3.0), None);
            run.doubt(&BEFORE, 3.0)
        };
        // Of 200, where three in ten would be well: an improbability of 4.97 for 81, of 4.52 for 80.
        let words = "81 of 200 transactions failed; in the worst hour before it was 10 %";
        assert_eq!(doubt(81).as_deref(), Some(words));
        assert_eq!([doubt(60), doubt(80)], [None, None]);
    }

    #[test]
    fn an_accident_is_told_from_what_is_none() {
        // Where a tenth is usual, of 200.
        let found = [0, 2, 3, 20, 45, 46].map(|hits| improbability(hits, 200, 0.1).round());
        assert_eq!(found, [21.0, 14.0, 12.0, 0.0, 13.0, 14.0]);
        assert_eq!(improbability(0, 0, 0.1), 0.0);
    }
}
