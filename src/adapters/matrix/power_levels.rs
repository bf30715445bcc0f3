//! Power in a room: whether herald may call all of it, and what an account has.

use matrix_sdk::{
    Room, RoomState,
    ruma::{
        Int, RoomId, UserId,
        api::client::{membership::joined_rooms, state::get_state_event_for_key::v3::Request},
        events::{
            StateEventType, TimelineEventType,
            room::power_levels::{RoomPowerLevelsEventContent, UserPowerLevel},
        },
    },
};

use super::{
    Matrix,
    error::{self, MatrixFault, http},
};
use crate::ports::ChatError;

impl Matrix {
    /// Why nobody would hear of `@room` in a room, and what can be done about it; `None` if all hear it. The homeserver
    /// is asked: before the first sync nothing is known of a room.
    ///
    /// # Errors
    /// The room's power levels can't be read.
    pub async fn unheard(&self, place: &str) -> Result<Option<String>, ChatError> {
        let room = self.joined(place).await?;
        let levels = self.power_levels(&room, place).await?;
        let (has, needs) = levels.map_or((0, DEFAULT_ROOM_MENTION_LEVEL), |levels| {
            (self.own(&levels), levels.notifications.room.into())
        });
        Ok((has < needs).then(|| {
            format!(
                "{} may not notify @room in {place} (it has power level {has} and needs {needs}), so nobody hears of it; raise its power level to {needs}, or lower what the room asks for @room",
                self.me
            )
        }))
    }

    /// Reads what herald may do in a room, by its power levels.
    ///
    /// # Errors
    /// The room's state can't be read.
    pub async fn room_rights(&self, place: &str) -> Result<RoomRights, ChatError> {
        let room = self.joined(place).await?;
        // Since the last sync somebody may have sent us out.
        let rooms = self.client.send(joined_rooms::v3::Request::new()).await;
        let rooms = rooms
            .map_err(|error| error::failed(self, "asking in which rooms we are", &error.into()))?
            .joined_rooms;
        if !rooms.iter().any(|id| id == room.room_id()) {
            return Err(ChatError::Refused {
                reason: format!("{} is not in room {place} any more", self.me),
                remedy: error::way_in(self, room.state() == RoomState::Banned),
            });
        }
        let encryption = room.latest_encryption_state().await;
        let encryption = encryption.map_err(|error| {
            error::failed(
                self,
                &format!("looking whether {place} is encrypted"),
                &error,
            )
        })?;
        let Some(levels) = self.power_levels(&room, place).await? else {
            return Ok(RoomRights {
                encrypted: encryption.is_encrypted(),
                may_post: true,
                may_pin: true,
            });
        };
        let own = self.own(&levels);
        let sent = if encryption.is_encrypted() {
            TimelineEventType::RoomEncrypted
        } else {
            TimelineEventType::RoomMessage
        };
        let needs = |kind: TimelineEventType, default: Int| {
            i64::from(levels.events.get(&kind).copied().unwrap_or(default))
        };
        Ok(RoomRights {
            encrypted: encryption.is_encrypted(),
            may_post: own >= needs(sent, levels.events_default),
            may_pin: own >= needs(TimelineEventType::RoomPinnedEvents, levels.state_default),
        })
    }

    async fn power_levels(
        &self,
        room: &Room,
        place: &str,
    ) -> Result<Option<RoomPowerLevelsEventContent>, ChatError> {
        let request = Request::new(
            room.room_id().to_owned(),
            StateEventType::RoomPowerLevels,
            String::new(),
        );
        match self.client.send(request).await {
            Ok(answer) => Ok(serde_json::from_str(answer.event_or_content.get()).ok()),
            // A room without power levels has the defaults.
            Err(error) if matches!(http(&error), MatrixFault::Lasting { .. }) => Ok(None),
            Err(error) => Err(error::failed(
                self,
                &format!("reading the power levels of {place}"),
                &error.into(),
            )),
        }
    }

    /// The power of an account in a room, as far as it is known here.
    pub(super) async fn power(&self, room: &RoomId, user: &str) -> Option<i64> {
        let room = self.client.get_room(room)?;
        match room
            .get_user_power_level(&UserId::parse(user).ok()?)
            .await
            .ok()?
        {
            UserPowerLevel::Infinite => Some(i64::MAX),
            UserPowerLevel::Int(level) => Some(level.into()),
            _ => None,
        }
    }

    fn own(&self, levels: &RoomPowerLevelsEventContent) -> i64 {
        levels
            .users
            .get(&self.me)
            .copied()
            .unwrap_or(levels.users_default)
            .into()
    }
}

/// A room as herald may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomRights {
    pub encrypted: bool,
    pub may_post: bool,
    pub may_pin: bool,
}

/// The level that `@room` takes where the room says nothing of it.
const DEFAULT_ROOM_MENTION_LEVEL: i64 = 50;
