//! What comes in between on a stage: pauses, and what a viewer lets go wrong.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{Controls, InjectedFault, driver::Rehearsal};
use crate::{
    domain::{
        campaign::{Campaign, change::Change, progress::State, upgrade::Window},
        plan::schedule::Offset,
    },
    ports::Clock,
};

/// From one step to the next, at the usual speed.
const STEP: Duration = Duration::from_millis(900);
/// A chain stands still for three times as long as it takes until that is told.
const STALL: i32 = 3;

impl Rehearsal {
    fn stage(&self) -> Option<Arc<Controls>> {
        self.stage.clone()
    }

    pub(super) fn begins_again(&self) -> bool {
        self.stage
            .as_ref()
            .is_some_and(|stage| stage.begins_again())
    }

    pub(super) async fn breathe(&self) {
        if let Some(stage) = &self.stage {
            stage.breathe(STEP).await;
        }
    }

    /// Lets every service come to rest; where herald is killed meanwhile, it is started again and goes on from its store.
    pub(super) async fn come_to_rest(&mut self) -> anyhow::Result<()> {
        let Some(stage) = self.stage() else {
            return self.settle().await;
        };
        let killed = stage.killed.clone();
        let survived = tokio::select! {
            settled = self.settle() => Some(settled?),
            () = killed.notified() => None,
        };
        if survived.is_none() {
            self.rooms.iter().for_each(|(_, room)| room.spare());
            self.output
                .say("\n  ○ herald is killed: its post is out, and it never heard so");
            stage.breathe(STEP * 2).await;
            self.start_again().await?;
            self.output.say(
                "\n  ○ herald is started again: it looks in the room before it says anything twice",
            );
            return Box::pin(self.come_to_rest()).await;
        }
        Ok(())
    }

    /// What a viewer has asked for, as soon as it can come. By how much that moves the end, if it does.
    pub(super) async fn trouble(
        &mut self,
        campaign: &Campaign,
    ) -> anyhow::Result<Option<SignedDuration>> {
        let Some(stage) = self.stage() else {
            return Ok(None);
        };
        let waits = campaign.progress.state == State::Scheduled && !campaign.upgrade.given_up();
        if stage.take(InjectedFault::Crash) {
            self.rooms
                .iter()
                .for_each(|(_, room)| room.kill_next(stage.killed.clone()));
            self.output
                .say("\n  ○ with its next post herald will be killed");
        }
        if stage.take(InjectedFault::Fail) {
            self.order(
                Change::Fail {
                    reason: "Blocks came too slowly with the new runtime.".to_owned(),
                },
                "the team calls it failed",
            )
            .await?;
        }
        if stage.take(InjectedFault::Delay) {
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
            // A twist of the act's own moves it once more; the later of the two counts.
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

    /// A command, as an operator would give it.
    async fn order(&mut self, change: Change, words: &str) -> anyhow::Result<()> {
        self.output.say(&format!("\n  ○ {words}"));
        let number = self
            .core
            .store
            .request(
                &self.act.upgrade.id,
                &change,
                "somebody who watches",
                self.clock.now(),
            )
            .await?;
        self.planner.tick().await?;
        if let Some(outcome) = self.core.store.outcome(number).await? {
            let words = self.core.snapshot().renderer.english_words(outcome.reply());
            self.output.say(&format!("\n  ○ {words}"));
        }
        self.come_to_rest().await
    }

    /// Until when the chains stand still, if they do: from the first block after that was asked for.
    pub(super) fn still_until(&self) -> Option<Timestamp> {
        let stage = self.stage.as_ref()?;
        let length = self.core.snapshot().plan().limits.stalled_after * STALL;
        if stage.still().is_none()
            && self.clock.now() > self.window.opens
            && stage.take(InjectedFault::Stall)
        {
            stage.stands_still(Some(self.clock.now()));
            self.output.say("\n  ○ the chain stands still");
        }
        stage
            .still()
            .and_then(|since| since.checked_add(length).ok())
    }

    /// What no block shows is looked at, as `run` does each half a minute.
    pub(super) async fn look(&self, at: Timestamp, still: Option<Timestamp>) -> anyhow::Result<()> {
        let Some(stage) = &self.stage else {
            return Ok(());
        };
        if still.is_some_and(|until| at >= until) {
            stage.stands_still(None);
            self.output.say("\n  ○ the chain goes on");
        }
        for (name, _) in self.watcher.chains() {
            self.watcher.observe(name).await?;
        }
        Ok(())
    }
}
