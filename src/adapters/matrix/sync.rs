//! Following the rooms: one sync after another, whatever happens, until told to stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use matrix_sdk::{
    Room,
    config::SyncSettings,
    deserialized_responses::TimelineEvent,
    room::MessagesOptions,
    ruma::{
        OwnedEventId, OwnedRoomId, RoomAliasId, UInt,
        api::client::filter::{Filter, FilterDefinition, RoomEventFilter, RoomFilter},
    },
    sync::SyncResponse,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Matrix, MatrixConnectError,
    commands::{FRESH_FOR_MS, IncomingCommand},
    error::{MatrixFault, SessionEnded, fault, logged_out},
    event::{ENCRYPTED_TYPE, SyncEvent},
    room_upgrade,
};
use crate::ports::{Admission, Asker, CommandHandler, Platform};

pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the server may hold a sync that has nothing to tell.
const LONG_POLL: Duration = Duration::from_secs(30);
/// From the beginning of one sync to that of the next, at the least: where much is said, it is read in sheaves instead of
/// one by one. Who writes into the quiet is read at once.
const MIN_SYNC_INTERVAL: Duration = Duration::from_millis(100);
/// For each room that a sync had news of, since that is what it costs the server.
const APART_A_ROOM: Duration = Duration::from_millis(100);
/// Rooms in which people speak.
const FARTHEST_APART: Duration = Duration::from_secs(2);
/// Rooms in which nobody but herald does: it posts in many rooms at once, and needs not be told of it.
const ALONE_APART: Duration = Duration::from_secs(10);
/// Events a room and sync; more make a gap, which is read up on.
const MAX_TIMELINE_EVENTS: u32 = 20;
/// Commands waiting for an answer; beyond them somebody is playing.
const MAX_WAITING_COMMANDS: usize = 64;
/// Undecrypted events remembered until their keys come.
const MAX_SEALED_EVENTS: usize = 64;
/// How long a session that took the place of another stands before it is given up for a third.
const MIN_SESSION_LENGTH: Duration = Duration::from_secs(600);
/// Pages of history read up on in one gap.
const MAX_PAGES_IN_GAP: usize = 20;

/// The state that one sync leaves to the next.
#[derive(Default)]
struct Rest {
    started: bool,
    /// Rooms whose latest history is to be read.
    gaps: BTreeSet<OwnedRoomId>,
    /// The event of a room that was looked at last.
    read: BTreeMap<OwnedRoomId, String>,
    /// Fresh events without a key so far.
    sealed: Vec<(OwnedRoomId, OwnedEventId)>,
    /// Invitations are to be looked through.
    invited: bool,
}

impl Matrix {
    /// Follows the rooms and answers commands until `stop` is cancelled. Errors end
    /// nothing: they are told by `trouble`, and the next try comes after 1 s, then 2 s, up to a minute.
    ///
    /// # Errors
    /// The homeserver has ended the session, and would take a login by password: another connection is needed.
    pub async fn run(
        self: Arc<Self>,
        handler: Arc<dyn CommandHandler>,
        stop: CancellationToken,
    ) -> Result<(), SessionEnded> {
        let (asked, asks) = mpsc::channel(MAX_WAITING_COMMANDS);
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = self.follow(&*handler, asked) => Err(ended),
            () = self.clone().answer_all(handler.clone(), asks) => Ok(()),
        }
    }

    async fn follow(
        &self,
        handler: &dyn CommandHandler,
        queue: mpsc::Sender<IncomingCommand>,
    ) -> SessionEnded {
        let asked = CommandQueue { handler, queue };
        let (mut rest, mut pause) = (
            Rest {
                invited: true,
                ..Rest::default()
            },
            FIRST_PAUSE,
        );
        let mut allowed = self.allowed.subscribe();
        let mut is_refused = false;
        loop {
            let begun = Instant::now();
            let held = if rest.started {
                LONG_POLL
            } else {
                Duration::ZERO
            };
            let settings = SyncSettings::new().timeout(held).filter(filter().into());
            let wait = match self.client.sync_once(settings).await {
                Ok(response) => {
                    self.synced.store(true, Ordering::Relaxed);
                    self.set_trouble(None);
                    pause = FIRST_PAUSE;
                    rest.invited |= allowed.has_changed().unwrap_or(false);
                    allowed.mark_unchanged();
                    let rooms = response.rooms.joined.len();
                    let others = self.digest(handler, &asked, response, &mut rest).await;
                    let apart = apart(rooms, others);
                    sleep_until(begun + apart).await;
                    continue;
                }
                Err(error) => match fault(&error) {
                    MatrixFault::Session { reason, .. } => {
                        match self.log_in_beside(&mut is_refused).await {
                            Ok(true) => return SessionEnded { reason },
                            Ok(false) => self.wait_out(logged_out(&reason), None, pause),
                            Err(error) => self.wait_out(error, None, pause),
                        }
                    }
                    MatrixFault::Passing { reason, after_ms } => {
                        self.wait_out(reason, after_ms, pause)
                    }
                    MatrixFault::Forbidden { reason } => self.wait_out(reason, None, pause),
                    MatrixFault::Lasting { reason, remedy } => {
                        self.wait_out(format!("{reason}; {remedy}"), None, pause)
                    }
                },
            };
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Tries whether another connection would get a session. Two programs that take one device from each other would do so
    /// for ever, so a session that was taken back lately is left alone for a while. A password that was refused is not tried
    /// again, for some servers lock an account that fails often.
    async fn log_in_beside(&self, is_refused: &mut bool) -> Result<bool, String> {
        let is_contested =
            self.ended_before.is_some() && self.connected.elapsed() < MIN_SESSION_LENGTH;
        if is_contested || *is_refused || self.settings.password.is_none() {
            return Ok(false);
        }
        match Self::look(self.settings.clone()).await {
            Ok(other) => {
                other.leave().await;
                Ok(true)
            }
            Err(error) => {
                *is_refused = matches!(error, MatrixConnectError::WrongPassword { .. });
                Err(format!(
                    "the homeserver has ended herald's session, and posts wait. {error}"
                ))
            }
        }
    }

    fn wait_out(&self, trouble: String, after_ms: Option<u64>, pause: Duration) -> Duration {
        tracing::warn!(%trouble, "Matrix isn't followed");
        self.set_trouble(Some(trouble));
        pause.max(Duration::from_millis(after_ms.unwrap_or(0)).min(LONGEST_PAUSE))
    }

    /// The first sync of a process reads up on every room: the last process may have taken events in
    /// and died before answering them. Says whether anybody else has spoken.
    async fn digest(
        &self,
        handler: &dyn CommandHandler,
        asked: &CommandQueue<'_>,
        response: SyncResponse,
        rest: &mut Rest,
    ) -> bool {
        let mut others = false;
        let now_ms = handler.now().as_millisecond();
        if !rest.started {
            rest.started = true;
            rest.gaps.extend(
                self.client
                    .joined_rooms()
                    .iter()
                    .map(|room| room.room_id().to_owned()),
            );
        }
        for (id, update) in &response.rooms.joined {
            for event in &update.timeline.events {
                let read = SyncEvent::read(event);
                others |= read
                    .as_ref()
                    .is_some_and(|event| event.sender != self.me.as_str());
                match read {
                    Some(sealed) if sealed.kind == ENCRYPTED_TYPE => rest.seal(id, &sealed, now_ms),
                    _ => asked.queue(self.ask(id, event, now_ms)),
                }
            }
            if update.timeline.limited {
                rest.gaps.insert(id.clone());
            } else {
                rest.read_to(id, update.timeline.events.last());
            }
        }
        room_upgrade::follow_upgrades(self, response.rooms.joined.keys()).await;
        rest.invited |= !response.rooms.invited.is_empty();
        if rest.invited {
            rest.invited = !self.accept_invitations().await;
        }
        self.read_up(asked, rest, now_ms).await;
        if !response.to_device.is_empty() && !rest.sealed.is_empty() {
            self.unseal(asked, rest, now_ms).await;
        }
        others
    }

    /// Reads the last ten minutes of rooms with gaps; what fails for now stays for the next round.
    async fn read_up(&self, asked: &CommandQueue<'_>, rest: &mut Rest, now_ms: i64) {
        for id in std::mem::take(&mut rest.gaps) {
            let Some(room) = self.client.get_room(&id) else {
                continue;
            };
            match self.late_commands(&room, rest.read.get(&id), now_ms).await {
                Ok((asks, newest)) => {
                    asks.into_iter()
                        .rev()
                        .for_each(|ask| asked.queue(Some(ask)));
                    rest.read.extend(newest.map(|newest| (id, newest)));
                }
                Err(error) => {
                    if let MatrixFault::Passing { reason, .. } = fault(&error) {
                        tracing::debug!(room = %id, %reason, "history isn't read yet");
                        rest.gaps.insert(id);
                    }
                }
            }
        }
    }

    /// Newest first, down to the event that was read last; and the newest event there is.
    async fn late_commands(
        &self,
        room: &Room,
        known: Option<&String>,
        now_ms: i64,
    ) -> matrix_sdk::Result<(Vec<IncomingCommand>, Option<String>)> {
        let (id, mut asks, mut from, mut newest) =
            (room.room_id().to_owned(), Vec::new(), None, None);
        for _ in 0..MAX_PAGES_IN_GAP {
            let mut options = MessagesOptions::backward();
            options.limit = UInt::from(100_u32);
            options.from = from;
            let page = room.messages(options).await?;
            asks.extend(
                page.chunk
                    .iter()
                    .filter_map(|event| self.ask(&id, event, now_ms)),
            );
            newest = newest.or_else(|| {
                page.chunk
                    .iter()
                    .find_map(SyncEvent::read)
                    .map(|event| event.event_id)
            });
            let mut oldest = page
                .chunk
                .iter()
                .rev()
                .filter_map(SyncEvent::read)
                .peekable();
            let is_old = oldest
                .peek()
                .is_some_and(|event| now_ms.saturating_sub(event.at_ms()) > FRESH_FOR_MS);
            let is_enough = is_old || oldest.any(|event| Some(&event.event_id) == known);
            from = page.end;
            if is_enough || from.is_none() {
                break;
            }
        }
        Ok((asks, newest))
    }

    /// Keys have come: perhaps those of events we couldn't read.
    async fn unseal(&self, asked: &CommandQueue<'_>, rest: &mut Rest, now_ms: i64) {
        for (id, event_id) in std::mem::take(&mut rest.sealed) {
            let Some(room) = self.client.get_room(&id) else {
                continue;
            };
            let Ok(event) = room.event(&event_id, None).await else {
                continue;
            };
            match SyncEvent::read(&event) {
                Some(sealed) if sealed.kind == ENCRYPTED_TYPE => rest.seal(&id, &sealed, now_ms),
                _ => asked.queue(self.ask(&id, &event, now_ms)),
            }
        }
    }

    /// Joins the rooms we are invited to and may join; `false` if one has to wait. An alias is asked of the
    /// server: an invitation may claim any.
    async fn accept_invitations(&self) -> bool {
        let (invited, allowed) = (self.client.invited_rooms(), self.allowed.borrow().clone());
        if invited.is_empty() {
            return true;
        }
        // Where a room of ours goes on.
        let next = self
            .client
            .joined_rooms()
            .into_iter()
            .filter_map(|room| Some(room.successor_room()?.room_id.to_string()));
        let mut ids: Vec<String> = next.collect();
        let mut all_known = true;
        for name in &allowed {
            match RoomAliasId::parse(name) {
                Ok(alias) => match self.client.resolve_room_alias(&alias).await {
                    Ok(found) => ids.push(found.room_id.to_string()),
                    Err(error) => {
                        all_known &= !matches!(
                            crate::adapters::matrix::error::http(&error),
                            MatrixFault::Passing { .. }
                        )
                    }
                },
                Err(_) => ids.push(name.clone()),
            }
        }
        for room in invited
            .iter()
            .filter(|room| ids.iter().any(|id| id == room.room_id().as_str()))
        {
            match room.join().await {
                Ok(()) => tracing::info!(room = %room.room_id(), "joined on invitation"),
                Err(error) => {
                    tracing::warn!(room = %room.room_id(), fault = ?fault(&error), "an invitation can't be accepted");
                    all_known &= !matches!(fault(&error), MatrixFault::Passing { .. });
                }
            }
        }
        all_known
    }
}

impl Rest {
    /// Everything up to this event was looked at.
    fn read_to(&mut self, room: &OwnedRoomId, event: Option<&TimelineEvent>) {
        if let Some(event) = event.and_then(SyncEvent::read) {
            self.read.insert(room.clone(), event.event_id);
        }
    }

    fn seal(&mut self, room: &OwnedRoomId, event: &SyncEvent, now_ms: i64) {
        let is_fresh = now_ms.saturating_sub(event.at_ms()) <= FRESH_FOR_MS;
        if let Ok(id) = OwnedEventId::try_from(event.event_id.as_str())
            && is_fresh
            && self.sealed.len() < MAX_SEALED_EVENTS
        {
            self.sealed.push((room.clone(), id));
        }
    }
}

fn apart(rooms: usize, others: bool) -> Duration {
    let rooms = u32::try_from(rooms).unwrap_or(u32::MAX);
    APART_A_ROOM.saturating_mul(rooms).clamp(
        MIN_SYNC_INTERVAL,
        if others { FARTHEST_APART } else { ALONE_APART },
    )
}

/// The queue in which commands wait for an answer.
struct CommandQueue<'a> {
    handler: &'a dyn CommandHandler,
    queue: mpsc::Sender<IncomingCommand>,
}

impl CommandQueue<'_> {
    /// Queues a command, unless its author asks again and again: so others are heard.
    fn queue(&self, ask: Option<IncomingCommand>) {
        let Some(ask) = ask.filter(|ask| {
            self.handler
                .admit(&Asker::new(Platform::Matrix, &ask.by, ask.room.as_str()))
                == Admission::Open
        }) else {
            return;
        };
        if let Err(error) = self.queue.try_send(ask) {
            tracing::warn!(%error, "too many commands at once: one is dropped");
        }
    }
}

/// Rooms with their members loaded as needed, and of the account's data what encryption keeps there
/// and which rooms are private ones.
/// Reactions are left out: they are counted when asked for.
fn filter() -> FilterDefinition {
    let mut timeline = RoomEventFilter::with_lazy_loading();
    timeline.limit = Some(UInt::from(MAX_TIMELINE_EVENTS));
    timeline.not_types = vec!["m.reaction".into()];
    let mut room = RoomFilter::with_lazy_loading();
    room.timeline = timeline;
    room.ephemeral = RoomEventFilter::ignore_all();
    room.account_data = RoomEventFilter::ignore_all();
    let mut account_data = Filter::empty();
    account_data.types = Some(
        [
            "m.direct",
            "m.secret_storage.*",
            "m.cross_signing.*",
            "m.megolm_backup.*",
            "m.key_backup",
        ]
        .map(Into::into)
        .into(),
    );
    let mut filter = FilterDefinition::empty();
    filter.presence = Filter::ignore_all();
    filter.account_data = account_data;
    filter.room = room;
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_rooms_have_news_the_farther_apart_are_the_syncs() {
        assert_eq!(
            [0, 1, 7, 20, 1_000].map(|rooms| apart(rooms, true).as_millis()),
            [100, 100, 700, 2_000, 2_000]
        );
        assert_eq!(
            [0, 1, 20, 1_000].map(|rooms| apart(rooms, false).as_millis()),
            [100, 100, 2_000, 10_000]
        );
    }
}
