//! Power in a room: whether herald may call all of it, and what an account has.

use matrix_sdk::ruma::{
    RoomId, UserId,
    api::client::state::get_state_event_for_key::v3::Request,
    events::{
        StateEventType,
        room::power_levels::{RoomPowerLevelsEventContent, UserPowerLevel},
    },
};

use super::{
    Matrix,
    error::{Fault, http},
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
        let request = Request::new(room.room_id().to_owned(), StateEventType::RoomPowerLevels, String::new());
        let levels = match self.client.send(request).await {
            Ok(answer) => serde_json::from_str(answer.event_or_content.get()).ok(),
            // A room without power levels has the defaults.
            Err(error) if matches!(http(&error), Fault::Lasting { .. }) => None,
            Err(error) => return Err(self.failed(&format!("reading the power levels of {place}"), &error.into())),
        };
        let (has, needs) = levels.map_or((0, DEFAULT), |levels| self.levels(&levels));
        Ok((has < needs).then(|| {
            format!(
                "{} may not notify @room in {place} (it has power level {has} and needs {needs}), so nobody hears of it; raise its power level to {needs}, or lower what the room asks for @room",
                self.me
            )
        }))
    }

    /// The power of an account in a room, as far as it is known here.
    pub(super) async fn power(&self, room: &RoomId, user: &str) -> Option<i64> {
        let room = self.client.get_room(room)?;
        match room.get_user_power_level(&UserId::parse(user).ok()?).await.ok()? {
            UserPowerLevel::Infinite => Some(i64::MAX),
            UserPowerLevel::Int(level) => Some(level.into()),
            _ => None,
        }
    }

    /// Ours, and the one it takes.
    fn levels(&self, levels: &RoomPowerLevelsEventContent) -> (i64, i64) {
        let own = levels.users.get(&self.me).copied().unwrap_or(levels.users_default);
        (own.into(), levels.notifications.room.into())
    }
}

/// What `@room` takes where the room says nothing of it.
const DEFAULT: i64 = 50;
