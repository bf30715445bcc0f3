//! The things that a room has around a message: pins, the end of a vote; and where a room goes on when it was upgraded.

use matrix_sdk::{
    Room, RoomState,
    ruma::{OwnedRoomId, RoomId},
};

use super::{
    Matrix,
    error::{self, MENDABLE_MS, MatrixFault, fault},
    poll,
    send::{self, event_id},
};
use crate::ports::{ChatError, Handling};

/// A room is followed over this many upgrades in a row.
const MAX_UPGRADES_IN_A_ROW: usize = 10;

/// Pins a message or takes the pin off, where the room lets us.
pub(super) async fn handle(
    matrix: &Matrix,
    place: &str,
    id: &str,
    how: Handling,
) -> Result<(), ChatError> {
    let id = event_id(id)?;
    let done = send::within(matrix.settings.timeout, async {
        let room = matrix.joined(place).await?;
        let done = match how {
            Handling::Publish => {
                return Err(ChatError::Refused {
                    reason: format!("nobody follows {place}"),
                    remedy: "that is a thing of Discord's: remove `publish`".into(),
                });
            }
            Handling::Close => return poll::close_poll(matrix, &room, &id).await,
            Handling::Pin => room.pin_event(&id).await,
            Handling::Unpin => room.unpin_event(&id).await,
        };
        match done {
            Ok(_) => Ok(()),
            Err(error) => Err(match fault(&error) {
                // Nothing is given up while somebody may allow it.
                MatrixFault::Forbidden { reason } => ChatError::Retry {
                    reason: format!(
                        "pinning in {place}: {reason}; give {} the power level that the room asks for m.room.pinned_events",
                        matrix.me
                    ),
                    after_ms: Some(MENDABLE_MS),
                },
                _ => error::failed(matrix, &format!("pinning in {place}"), &error),
            }),
        }
    });
    done.await
}

/// The room in which an upgraded one goes on, joined if need be; the room itself if it wasn't upgraded. Only where the
/// old room says so: a new one may claim any predecessor.
pub(super) async fn latest(matrix: &Matrix, room: Room) -> Result<Room, ChatError> {
    let mut latest = room;
    for _ in 0..MAX_UPGRADES_IN_A_ROW {
        let Some(next) = latest.successor_room() else {
            break;
        };
        let known = matrix
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
                let via: Vec<_> = via.chain([matrix.me.server_name().to_owned()]).collect();
                let joined = matrix
                    .client
                    .join_room_by_id_or_alias((&*next.room_id).into(), &via)
                    .await;
                let room = joined.map_err(|error| {
                    error::failed(
                        matrix,
                        &format!("following {} to {}", latest.room_id(), next.room_id),
                        &error,
                    )
                })?;
                tracing::info!(from = %latest.room_id(), to = %room.room_id(), "the room was upgraded, and is followed");
                room
            }
        };
        matrix.moved.send_modify(|moved| {
            drop(moved.insert(joined.room_id().to_owned(), latest.room_id().to_owned()))
        });
        latest = joined;
    }
    Ok(latest)
}

/// The place, as channels name it, of which a room is what it has become.
pub(super) fn place_of(matrix: &Matrix, room: &RoomId) -> OwnedRoomId {
    let moved = matrix.moved.borrow();
    let mut place = room;
    for _ in 0..MAX_UPGRADES_IN_A_ROW {
        match moved.get(place) {
            Some(before) if !matrix.places.borrow().contains(place) => place = before,
            _ => break,
        }
    }
    place.to_owned()
}

/// Follows rooms that were upgraded since the last look.
pub(super) async fn follow_upgrades<'a>(
    matrix: &Matrix,
    rooms: impl Iterator<Item = &'a OwnedRoomId>,
) {
    for id in rooms {
        if let Some(room) = matrix
            .client
            .get_room(id)
            .filter(|room| room.successor_room().is_some())
            && let Err(error) = latest(matrix, room).await
        {
            tracing::warn!("{error}");
        }
    }
}
