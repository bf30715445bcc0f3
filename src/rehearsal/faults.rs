//! The faults that a viewer injects, and the pauses between steps.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{controls::InjectedFault, driver::Rehearsal};
use crate::{
    domain::{
        campaign::{Campaign, change::Change, progress::State, upgrade::Window},
        plan::schedule::Offset,
    },
    ports::Clock,
};

/// The pause from one step to the next, at the usual speed.
const STEP_PAUSE: Duration = Duration::from_millis(900);
/// A chain stands still for this many times as long as it takes until that is told.
const STALL_LENGTHS: i32 = 3;

impl Rehearsal {
    pub(super) fn begins_again(&self) -> bool {
        self.controls
            .as_ref()
            .is_some_and(|controls| controls.begins_again())
    }

    pub(super) async fn pause(&self) {
        if let Some(controls) = &self.controls {
            controls.pause_for(STEP_PAUSE).await;
        }
    }

    /// Lets every service come to rest; where herald is killed meanwhile, it is started again and goes on from its store.
    pub(super) async fn come_to_rest(&mut self) -> anyhow::Result<()> {
        let Some(controls) = self.controls.clone() else {
            return self.settle().await;
        };
        let killed = controls.killed.clone();
        let survived = tokio::select! {
            settled = self.settle() => Some(settled?),
            () = killed.notified() => None,
        };
        if survived.is_none() {
            self.rooms.iter().for_each(|(_, room)| room.spare());
            self.output
                .say("\n  ○ herald is killed: its post is out, and it never heard so");
            controls.pause_for(STEP_PAUSE * 2).await;
            self.start_again().await?;
            self.output.say(
                "\n  ○ herald is started again: it looks in the room before it says anything twice",
            );
            return Box::pin(self.come_to_rest()).await;
        }
        Ok(())
    }

    /// Injects the faults that a viewer has asked for, as soon as they can come. Returns by how much that moves the end.
    pub(super) async fn inject_faults(
        &mut self,
        campaign: &Campaign,
    ) -> anyhow::Result<Option<SignedDuration>> {
        let Some(controls) = self.controls.clone() else {
            return Ok(None);
        };
        let waits = campaign.progress.state == State::Scheduled && !campaign.upgrade.given_up();
        if controls.take(InjectedFault::Crash) {
            self.rooms
                .iter()
                .for_each(|(_, room)| room.kill_next(controls.killed.clone()));
            self.output
                .say("\n  ○ with its next post herald will be killed");
        }
        if controls.take(InjectedFault::Fail) {
            self.order(
                Change::Fail {
                    reason: "Blocks came too slowly with the new runtime.".to_owned(),
                },
                "the team calls it failed",
            )
            .await?;
        }
        if controls.take(InjectedFault::Delay) {
            if !waits || self.clock.now() >= campaign.upgrade.window.opens {
                self.output.say("\n  ○ it is too late to move the window");
                return Ok(None);
            }
            let zone = self.core.snapshot().plan().zone.clone();
            let later = |at: Timestamp| Offset::Days(1).from(at, &zone).unwrap_or(at);
            let set = &campaign.upgrade.window;
            let window = Window {
                opens: later(set.opens),
                closes: later(set.closes),
            };
            let (opens, closes) = (window.opens, window.closes);
            let reason = Some("Somebody who watches has asked for another day.".to_owned());
            // A change of the scenario's own moves it once more; the later of the two counts.
            self.window = Window {
                opens: self.window.opens.max(opens),
                closes: self.window.closes.max(closes),
            };
            self.order(
                Change::Reschedule {
                    opens,
                    closes,
                    reason,
                },
                "the team moves the window by a day",
            )
            .await?;
            return Ok(Some(SignedDuration::from_hours(24)));
        }
        Ok(None)
    }

    /// Gives a command, as an operator would.
    async fn order(&mut self, change: Change, words: &str) -> anyhow::Result<()> {
        self.output.say(&format!("\n  ○ {words}"));
        let number = self
            .core
            .store
            .request(
                &self.scenario.upgrade.id,
                &change,
                "somebody who watches",
                self.clock.now(),
            )
            .await?;
        self.services.planner.tick().await?;
        if let Some(outcome) = self.core.store.outcome(number).await? {
            let words = self.core.snapshot().renderer.english_words(outcome.reply());
            self.output.say(&format!("\n  ○ {words}"));
        }
        self.come_to_rest().await
    }

    /// Until when the chains stand still, if they do: from the first block after that was asked for.
    pub(super) fn still_until(&self) -> Option<Timestamp> {
        let controls = self.controls.as_ref()?;
        let length = self.core.snapshot().plan().limits.stalled_after * STALL_LENGTHS;
        if controls.still().is_none()
            && self.clock.now() > self.window.opens
            && controls.take(InjectedFault::Stall)
        {
            controls.stands_still(Some(self.clock.now()));
            self.output.say("\n  ○ the chain stands still");
        }
        controls
            .still()
            .and_then(|since| since.checked_add(length).ok())
    }

    /// Looks at what no block shows, as `run` does each half a minute.
    pub(super) async fn look(&self, at: Timestamp, still: Option<Timestamp>) -> anyhow::Result<()> {
        let Some(controls) = &self.controls else {
            return Ok(());
        };
        if still.is_some_and(|until| at >= until) {
            controls.stands_still(None);
            self.output.say("\n  ○ the chain goes on");
        }
        for (name, _) in self.services.watcher.chains() {
            self.services.watcher.observe(name).await?;
        }
        Ok(())
    }
}
