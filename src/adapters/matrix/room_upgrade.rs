//! What a room has around a message: pins, the end of a vote; and where a room goes on when it was upgraded.

use matrix_sdk::{
    Room, RoomState,
    ruma::{OwnedRoomId, RoomId},
};

use super::{
    Matrix,
    error::{Fault, fault},
    send::event_id,
};
use crate::ports::{ChatError, Handling};

/// So many times a room may have been upgraded in a row.
const FARTHEST: usize = 10;

impl Matrix {
    /// Pins a message or takes the pin off, where the room lets us.
    pub(super) async fn treat(
        &self,
        place: &str,
        id: &str,
        how: Handling,
    ) -> Result<(), ChatError> {
        let id = event_id(id)?;
        let done = self.within(self.timeout, async {
            let room = self.joined(place).await?;
            let done = match how {
                Handling::Publish => {
                    return Err(ChatError::Refused {
                        reason: format!("nobody follows {place}"),
                        remedy: "that is a thing of Discord's: remove `publish`".into(),
                    });
                }
                Handling::Close => return self.close(&room, &id).await,
                Handling::Pin => room.pin_event(&id).await,
                Handling::Unpin => room.unpin_event(&id).await,
            };
            match done {
                Ok(_) => Ok(()),
                Err(error) => Err(match fault(&error) {
                    Fault::Forbidden { reason } => ChatError::Refused {
                        reason: format!("pinning in {place}: {reason}"),
                        remedy: format!(
                            "give {} the power level that the room asks for m.room.pinned_events",
                            self.me
                        ),
                    },
                    _ => self.failed(&format!("pinning in {place}"), &error),
                }),
            }
        });
        done.await
    }

    /// The room in which an upgraded one goes on, joined if need be; the room itself if it wasn't upgraded. Only where the
    /// old room says so: a new one may claim any predecessor.
    pub(super) async fn latest(&self, room: Room) -> Result<Room, ChatError> {
        let mut latest = room;
        for _ in 0..FARTHEST {
            let Some(next) = latest.successor_room() else {
                break;
            };
            let known = self
                .client
                .get_room(&next.room_id)
                .filter(|room| room.state() == RoomState::Joined);
            let joined = match known {
                Some(room) => room,
                None => {
                    let via = latest
                        .room_id()
                        .server_name()
                        .map(ToOwned::to_owned)
                        .into_iter();
                    let via: Vec<_> = via.chain([self.me.server_name().to_owned()]).collect();
                    let joined = self
                        .client
                        .join_room_by_id_or_alias((&*next.room_id).into(), &via)
                        .await;
                    let room = joined.map_err(|error| {
                        self.failed(
                            &format!("following {} to {}", latest.room_id(), next.room_id),
                            &error,
                        )
                    })?;
                    tracing::info!(from = %latest.room_id(), to = %room.room_id(), "the room was upgraded, and is followed");
                    room
                }
            };
            self.moved.send_modify(|moved| {
                drop(moved.insert(joined.room_id().to_owned(), latest.room_id().to_owned()))
            });
            latest = joined;
        }
        Ok(latest)
    }

    /// The place, as channels name it, of which a room is what it has become.
    pub(super) fn place_of(&self, room: &RoomId) -> OwnedRoomId {
        let moved = self.moved.borrow();
        let mut place = room;
        for _ in 0..FARTHEST {
            match moved.get(place) {
                Some(before) if !self.places.borrow().contains(place) => place = before,
                _ => break,
            }
        }
        place.to_owned()
    }

    /// Follows rooms that were upgraded since the last look.
    pub(super) async fn follow_upgrades<'a>(&self, rooms: impl Iterator<Item = &'a OwnedRoomId>) {
        for id in rooms {
            if let Some(room) = self
                .client
                .get_room(id)
                .filter(|room| room.successor_room().is_some())
                && let Err(error) = self.latest(room).await
            {
                tracing::warn!("{error}");
            }
        }
    }
}
