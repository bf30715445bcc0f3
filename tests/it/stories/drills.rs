//! Drills: what herald says of upgrades that went wrong, and how soon.

use jiff::SignedDuration;
use upgrade_herald::{
    config::Origin,
    lint,
    rehearsal::{DRILLS, Drill, DrillPlayer, DrillResult},
};

/// Plays a drill by the built-in plan; `waits` as the plan has it, or for nothing that the upgrade has set in motion.
async fn played(name: &str, waits: bool) -> DrillResult {
    let mut loaded = lint::load(&Origin::Embedded).unwrap();
    if !waits {
        loaded.config.plan.rules.after.clear();
    }
    let drill = Drill::named(name).unwrap().unwrap();
    let player = DrillPlayer::new(drill);
    player.play(loaded.config, loaded.renderer).await.unwrap()
}

#[tokio::test]
async fn in_each_drill_the_truth_is_told_in_time_and_no_false_all_clear_is_given() {
    // The most seconds until the first true word, to operators and to everybody.
    let expected = [
        // Thirty blocks of lag are six minutes and more at half the pace.
        ("kusama-2025-05-09", 450, 450),
        ("laos-2026-03", 300, 300),
        ("wrong-code", 30, 30),
        ("short-notice", 30, 30),
        ("call-fails", 30, 30),
        ("half-way", 240, 240),
    ];
    assert_eq!(
        expected.map(|(name, ..)| name),
        DRILLS.map(|(name, _)| name)
    );
    for (name, operators, public) in expected {
        let result = played(name, true).await;
        let within = |told: Option<SignedDuration>, seconds: i64| {
            told.is_some_and(|after| after <= SignedDuration::from_secs(seconds))
        };
        assert!(within(result.operators, operators), "{name}: {result:#?}");
        assert!(within(result.public, public), "{name}: {result:#?}");
        assert!(result.false_all_clears.is_empty(), "{name}: {result:#?}");
    }
}

/// Without what "verified" waits for, the drill of Kusama finds the false all-clear that it is there to find.
#[tokio::test]
async fn the_drill_of_kusama_tells_a_false_all_clear_from_none() {
    let result = played("kusama-2025-05-09", false).await;
    assert_eq!(result.false_all_clears.len(), 2, "{result:#?}");
}
