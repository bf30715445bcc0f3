//! Whether a channel can be written to.

use serenity::all::{Channel, ChannelType, PartialMember, Permissions};

use super::{Discord, channel_id};
use crate::ports::ChatError;

/// What the bot's role needs in every channel it posts to.
pub(super) const NEEDED: Permissions = Permissions::VIEW_CHANNEL
    .union(Permissions::SEND_MESSAGES)
    // without it Discord drops the embed, and with it the mark a post is found by
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    // without it the history comes back empty, which looks like "never posted"
    .union(Permissions::READ_MESSAGE_HISTORY)
    .union(Permissions::CREATE_PUBLIC_THREADS)
    .union(Permissions::SEND_MESSAGES_IN_THREADS);

/// Permissions as Discord's settings name them.
pub(super) fn names(permissions: Permissions) -> String {
    let named = [
        (Permissions::VIEW_CHANNEL, "View Channel"),
        (Permissions::SEND_MESSAGES, "Send Messages"),
        (Permissions::EMBED_LINKS, "Embed Links"),
        (Permissions::ATTACH_FILES, "Attach Files"),
        (Permissions::READ_MESSAGE_HISTORY, "Read Message History"),
        (Permissions::CREATE_PUBLIC_THREADS, "Create Public Threads"),
        (Permissions::SEND_MESSAGES_IN_THREADS, "Send Messages in Threads"),
    ];
    let wanted: Vec<_> = named.into_iter().filter(|(p, _)| permissions.contains(*p)).map(|(_, name)| name).collect();
    wanted.join(", ")
}

impl Discord {
    /// Checks that a channel is in the guild, takes messages, and lets the bot do all that posting needs.
    ///
    /// # Errors
    /// `Refused` says what is missing and who can mend it; `Retry` if Discord couldn't be asked.
    pub async fn check_place(&self, place: &str) -> Result<(), ChatError> {
        const WHAT: &str = "checking the permissions";
        let channel = channel_id(place)?;
        let refused = |reason: String, remedy: String| Err(ChatError::Refused { reason, remedy });
        let deadline = self.deadline();
        let found = self.ask(deadline, self.http.get_channel(channel)).await.map_err(|fault| fault.during(WHAT, channel))?;
        let found = match found {
            Channel::Guild(found) if found.guild_id == self.guild => found,
            _ => {
                return refused(
                    format!("Discord channel {channel} is not in the server {}", self.guild),
                    "name a channel of that server, or the channel's server".into(),
                );
            }
        };
        if !matches!(found.kind, ChannelType::Text | ChannelType::News) {
            return refused(
                format!("Discord channel {channel} (#{}) takes no posts", found.name),
                "name a text or announcement channel".into(),
            );
        }
        let guild = self.ask(deadline, self.http.get_guild(self.guild)).await.map_err(|fault| fault.during(WHAT, channel))?;
        let member = self.ask(deadline, self.http.get_member(self.guild, self.me)).await.map_err(|fault| fault.during(WHAT, channel))?;
        let has = guild.partial_member_permissions_in(&found, self.me, &PartialMember::from(member));
        let missing = NEEDED - has;
        if missing.is_empty() {
            return Ok(());
        }
        refused(
            format!("Discord channel {channel} (#{}) does not let the bot do all it needs", found.name),
            format!("allow its role there: {}", names(missing)),
        )
    }
}
