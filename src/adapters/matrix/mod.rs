//! Matrix as a chat: one account on one homeserver, in plain and in encrypted rooms.
//!
//! What makes a post one post is its key, twice over: as the transaction id, by which the homeserver
//! recognises a repeat for about a day, and as a field of our own in the content, by which it is found
//! again afterwards. Nothing is counted from what a sync happened to bring: feedback and read-backs are
//! asked of the server each time, so that downtime loses none.
//!
//! - [`connect`](Matrix::connect) (`connect`, `session`): the session kept on disk, or a login by password
//! - [`Chat`] (`send`, `edit`, `picture`, `feedback`): posts, threads, edits, pictures, read-back, people's answers
//! - [`run`](Matrix::run) (`sync`, `commands`): following the rooms, answering `!upgrade`
//! - `poll`: votes
//! - `room_upgrade`: pins, and where an upgraded room goes on
//! - `identity`: whether people see a warning at the device, and recovery of its keys
//! - `power_levels`: whether the whole room may be called; `event`: the few fields we read of an event; `error`: what a failure calls for

mod commands;
mod connect;
mod edit;
mod error;
mod event;
mod feedback;
mod identity;
mod picture;
mod poll;
mod power_levels;
mod room_upgrade;
mod send;
mod session;
mod sync;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use matrix_sdk::{
    Client, Room, RoomState,
    config::SyncSettings,
    ruma::{
        OwnedRoomId, OwnedUserId, RoomAliasId, RoomId,
        api::client::state::get_state_event_for_key::v3::Request, events::StateEventType,
    },
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use crate::{
    domain::{
        outbox::PostKey,
        people::feedback::{Heard, Reaction},
    },
    ports::{Accepted, Chat, ChatError, Handling, NamedPlace, Outgoing},
};

use self::{connect::Connected, error::MENDABLE_MS};
pub use self::{
    connect::MatrixConnectError,
    error::SessionEnded,
    identity::{Identity, Recovery},
    power_levels::RoomRights,
};

/// The account, and what it keeps on disk.
#[derive(Clone, Debug)]
pub struct MatrixSettings {
    /// The homeserver's address: `https://matrix.example.org`.
    pub homeserver: String,
    /// `@herald:example.org`, or the part before the colon.
    pub user: String,
    /// Either this or a token.
    pub password: Option<SecretString>,
    /// An access token, which has a device of its own.
    pub token: Option<SecretString>,
    /// A stable device id, such as `HERALD`: the homeserver recognises a repeated post by account and device.
    pub device: String,
    /// A directory of the account's own: the session file and the SDK's store.
    pub store: PathBuf,
    /// Encrypts the SDK's store; without it the store lies open.
    pub passphrase: Option<SecretString>,
    /// With it a device that is new is signed by its account.
    pub recovery: Option<SecretString>,
    /// The longest time of one request; sending a post, however many requests it takes, has this time as a whole.
    pub timeout: Duration,
}

/// A logged-in account. Made by [`Matrix::connect`].
pub struct Matrix {
    client: Client,
    me: OwnedUserId,
    settings: MatrixSettings,
    /// The reason for which the homeserver had ended the session before, if this one took its place.
    ended_before: Option<String>,
    connected: Instant,
    trouble: watch::Sender<Option<String>>,
    /// True once a sync has come through since the start.
    synced: AtomicBool,
    /// Ids and aliases of rooms whose invitations are accepted.
    allowed: watch::Sender<Vec<String>>,
    /// Rooms as channels know them.
    places: watch::Sender<BTreeSet<OwnedRoomId>>,
    /// The upgraded room behind each room in which one goes on.
    moved: watch::Sender<BTreeMap<OwnedRoomId, OwnedRoomId>>,
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matrix")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Matrix {
    /// Takes up the session kept in the store, or logs in by password under the stable device id.
    pub async fn connect(settings: MatrixSettings) -> Result<Arc<Self>, MatrixConnectError> {
        let connected = connect::connect(&settings).await?;
        Ok(Self::new(settings, connected))
    }

    /// Logs in to look only: beside the device that posts, and with nothing kept. [`leave`](Self::leave) ends it.
    ///
    /// # Errors
    /// The homeserver can't be asked, or refuses the password or the token.
    pub async fn look(settings: MatrixSettings) -> Result<Arc<Self>, MatrixConnectError> {
        let connected = connect::look(&settings).await?;
        Ok(Self::new(settings, connected))
    }

    fn new(settings: MatrixSettings, connected: Connected) -> Arc<Self> {
        let Connected {
            client,
            me,
            ended_before,
        } = connected;
        Arc::new(Self {
            client,
            me,
            settings,
            ended_before,
            connected: Instant::now(),
            trouble: watch::Sender::new(None),
            synced: AtomicBool::new(false),
            allowed: watch::Sender::new(Vec::new()),
            places: watch::Sender::new(BTreeSet::new()),
            moved: watch::Sender::new(BTreeMap::new()),
        })
    }

    /// Logs out again after [`look`](Self::look). A token's session is somebody's, and stays.
    pub async fn leave(&self) {
        if self.settings.token.is_none()
            && let Err(error) = self.client.matrix_auth().logout().await
        {
            tracing::warn!(fault = ?error::http(&error), "could not log out of the homeserver again");
        }
    }

    /// The trouble that operators hear of if the homeserver had ended the session before this one.
    pub fn session_trouble(&self) -> Option<String> {
        let reason = self.ended_before.as_ref()?;
        let device = &self.settings.device;
        Some(format!(
            "the homeserver had ended herald's session ({reason}), so herald has logged in again as device {device}; if nobody did that on purpose, see whether another program logs in as {device}, and give each a `device` of its own"
        ))
    }

    /// The account's full id: `@herald:example.org`.
    pub fn user(&self) -> &str {
        self.me.as_str()
    }

    /// Names the rooms, by id or alias, whose invitations [`run`](Self::run) accepts; others are left lying.
    pub fn allow(&self, rooms: Vec<String>) {
        self.allowed.send_replace(rooms);
    }

    /// Lists the rooms that the account is in or invited to, by alias where they have one.
    ///
    /// # Errors
    /// The homeserver can't be asked.
    pub async fn rooms(&self) -> Result<Vec<NamedPlace>, ChatError> {
        let once = SyncSettings::new().timeout(Duration::ZERO);
        let synced = self.client.sync_once(once).await;
        synced.map_err(|error| error::failed(self, "asking for the rooms", &error))?;
        let mut rooms = Vec::new();
        for room in self.client.rooms() {
            if matches!(room.state(), RoomState::Joined | RoomState::Invited) {
                let alias = room.canonical_alias().map(|alias| alias.to_string());
                let id = alias.unwrap_or_else(|| room.room_id().to_string());
                let name = room.display_name().await;
                let name = name.map_or_else(|_| id.clone(), |name| name.to_string());
                rooms.push(NamedPlace::new(id, &name));
            }
        }
        rooms.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rooms)
    }

    /// Finds the room behind an alias (`#…`) or an id (`!…`, with or without a server name) and joins it
    /// if need be. Gives its id.
    pub async fn room(&self, name: &str) -> Result<String, ChatError> {
        let (id, via) = match RoomId::parse(name) {
            Ok(id) => (id, Vec::new()),
            Err(_) => self.resolve(name).await?,
        };
        if let Some(room) = self
            .client
            .get_room(&id)
            .filter(|room| room.state() == RoomState::Joined)
        {
            let room = room_upgrade::latest(self, room).await?;
            self.check_no_space(&room, name).await?;
            acquaint(&room).await;
            self.places
                .send_modify(|places| places.extend([id.clone()]));
            return Ok(id.into());
        }
        match self
            .client
            .join_room_by_id_or_alias((&*id).into(), &via)
            .await
        {
            Ok(room) => {
                self.check_no_space(&room, name).await?;
                acquaint(&room).await;
                self.places
                    .send_modify(|places| places.extend([room.room_id().to_owned()]));
                Ok(room.room_id().as_str().to_owned())
            }
            Err(error) => Err(
                match error::failed(self, &format!("joining {name}"), &error) {
                    ChatError::Refused { reason, .. } => {
                        let remedy = format!(
                            "invite {} to the room; if it is on another homeserver, name it by its alias (#…)",
                            self.me
                        );
                        ChatError::Refused { reason, remedy }
                    }
                    retry => retry,
                },
            ),
        }
    }

    /// The room in which what is posted to a place arrives: where the place was upgraded, the one in which it goes on.
    ///
    /// # Errors
    /// The homeserver can't be asked, or herald isn't in the room.
    pub async fn arrival(&self, place: &str) -> Result<String, ChatError> {
        Ok(self.joined(place).await?.room_id().to_string())
    }

    /// Refuses a space: it looks like a room and can be joined, but nobody sees messages in it. The homeserver is asked,
    /// for before the first sync nothing is known of a room.
    async fn check_no_space(&self, room: &Room, name: &str) -> Result<(), ChatError> {
        let request = Request::new(
            room.room_id().to_owned(),
            StateEventType::RoomCreate,
            String::new(),
        );
        let created = self.client.send(request).await.map_err(|error| {
            error::failed(self, &format!("looking what {name} is"), &error.into())
        })?;
        let created: Value =
            serde_json::from_str(created.event_or_content.get()).unwrap_or_default();
        // Its content as specified, or the whole event, as some servers have it.
        let kind = created.pointer("/content/type").or(created.get("type"));
        if kind.is_some_and(|kind| kind == "m.space") {
            return Err(ChatError::Refused {
                reason: format!("{name} is a space, in which nobody reads messages"),
                remedy: "name one of the rooms in it, by the room's own id or alias".into(),
            });
        }
        Ok(())
    }

    async fn resolve(
        &self,
        alias: &str,
    ) -> Result<(OwnedRoomId, Vec<matrix_sdk::OwnedServerName>), ChatError> {
        let id = RoomAliasId::parse(alias).map_err(|_| ChatError::Refused {
            reason: format!("{alias} is neither a room's alias nor its id"),
            remedy: "write the alias as #room:example.org, or the id, which starts with !".into(),
        })?;
        match self.client.resolve_room_alias(&id).await {
            Ok(found) => Ok((found.room_id, found.servers)),
            Err(error) => Err(error::failed(
                self,
                &format!("looking up {alias}"),
                &error.into(),
            )),
        }
    }

    /// The room with this id, if we are in it; an invitation to it is taken up, for whoever names a room
    /// here means to post there.
    async fn joined(&self, place: &str) -> Result<Room, ChatError> {
        let id = RoomId::parse(place).map_err(|_| ChatError::Refused {
            reason: format!("{place} is not a room's id"),
            remedy: "give the room by the id that `room` returned".into(),
        })?;
        // Somebody can invite us again: nothing is given up meanwhile.
        let absent = |is_banned| ChatError::Retry {
            reason: format!(
                "{} is not in room {place}; {}",
                self.me,
                error::way_in(self, is_banned)
            ),
            after_ms: Some(MENDABLE_MS),
        };
        match self.client.get_room(&id) {
            Some(room) => match room.state() {
                RoomState::Joined => room_upgrade::latest(self, room).await,
                RoomState::Invited => {
                    room.join().await.map_err(|error| {
                        error::failed(self, &format!("joining {place}"), &error)
                    })?;
                    Ok(room)
                }
                state => Err(absent(state == RoomState::Banned)),
            },
            None if !self.synced.load(Ordering::Relaxed) => Err(ChatError::Retry {
                reason: format!("room {place} isn't known yet: no sync so far"),
                after_ms: None,
            }),
            None => Err(absent(false)),
        }
    }

    /// A link anybody can follow. Ids of newer rooms name no server, so ours is given as the way there.
    fn link(&self, room: &Room, event: &str) -> Option<String> {
        let event = matrix_sdk::ruma::EventId::parse(event).ok()?;
        Some(
            room.room_id()
                .matrix_to_event_uri_via(event, [self.me.server_name().to_owned()])
                .to_string(),
        )
    }

    fn set_trouble(&self, trouble: Option<String>) {
        self.trouble.send_if_modified(|now| {
            let changed = *now != trouble;
            *now = trouble;
            changed
        });
    }
}

/// Asks whether a room is encrypted, which its first post would have to wait for. What fails is asked again then.
async fn acquaint(room: &Room) {
    if let Err(error) = room.latest_encryption_state().await {
        tracing::debug!(room = %room.room_id(), fault = ?error::fault(&error), "whether it is encrypted isn't known yet");
    }
}

#[async_trait]
impl Chat for Matrix {
    /// A picture is a message of its own here: of a body that has one, the picture is sent and its text is not.
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        send::send(self, place, out, None).await
    }

    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        send::find(self, place, key, since).await
    }

    /// A thread has no title here: the opening message says it. The returned id is the root's.
    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        _title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        send::send(self, place, out, Some(root)).await
    }

    /// An edit is an event of its own, with a key of its own; the id and link are those of the message it changes.
    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        edit::edit(self, place, id, out).await
    }

    async fn handle(&self, place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        room_upgrade::handle(self, place, id, how).await
    }

    async fn heard(
        &self,
        place: &str,
        root: &str,
        thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        feedback::heard(self, place, root, thread).await
    }

    async fn votes(&self, place: &str, id: &str) -> Result<Vec<Reaction>, ChatError> {
        poll::votes(self, place, id).await
    }

    async fn direct(&self, user: &str) -> Result<String, ChatError> {
        let id = matrix_sdk::ruma::UserId::parse(user).map_err(|_| ChatError::Refused {
            reason: format!("{user} is not a user's id"),
            remedy: "ask for an id such as @anna:example.org".into(),
        })?;
        if let Some(room) = self.client.get_dm_room(&id) {
            return Ok(room.room_id().to_string());
        }
        let made =
            self.client.create_dm(&id).await.map_err(|error| {
                error::failed(self, &format!("making a room with {user}"), &error)
            })?;
        Ok(made.room_id().to_string())
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }
}
