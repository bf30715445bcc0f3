//! Whether a channel can be written to.

use serenity::all::{Channel, ChannelId, ChannelType, GuildChannel, PartialGuild, PartialMember, Permissions, RoleId};

use super::{Discord, channel_id, error::Fault, id};
use crate::ports::ChatError;

const WHAT: &str = "checking the permissions";

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

/// The server and the bot's place in it: the same for all channels, so that it is asked for once.
pub struct Surroundings {
    guild: PartialGuild,
    member: PartialMember,
}

impl Discord {
    /// # Errors
    /// `Retry` if Discord couldn't be asked, `Refused` if the bot is in the server no more.
    pub async fn surroundings(&self) -> Result<Surroundings, ChatError> {
        let failed = |fault: Fault| {
            let reason = format!("looking at the server {}: {}", self.guild, fault.words());
            match fault {
                Fault::Unsure { after_ms, .. } => ChatError::Retry { reason, after_ms },
                _ => ChatError::Refused { reason, remedy: "invite the bot again, and look at its token".into() },
            }
        };
        let deadline = self.deadline();
        let guild = self.ask(deadline, || self.http.get_guild(self.guild)).await.map_err(failed)?;
        let member = self.ask(deadline, || self.http.get_member(self.guild, self.me)).await.map_err(failed)?;
        Ok(Surroundings { guild, member: PartialMember::from(member) })
    }

    /// Checks that a channel is in the guild, takes messages, and lets the bot do all that posting needs.
    ///
    /// # Errors
    /// `Refused` says what is missing and who can mend it; `Retry` if Discord couldn't be asked.
    pub async fn check_place(&self, place: &str, around: &Surroundings) -> Result<(), ChatError> {
        let channel = channel_id(place)?;
        let (found, has) = self.look_at(channel, around).await?;
        if !matches!(found.kind, ChannelType::Text | ChannelType::News) {
            return Err(ChatError::Refused {
                reason: format!("Discord channel {channel} (#{}) takes no posts", found.name),
                remedy: "name a text or announcement channel".into(),
            });
        }
        let missing = NEEDED - has;
        if missing.is_empty() {
            return Ok(());
        }
        Err(ChatError::Refused {
            reason: format!("Discord channel {channel} (#{}) does not let the bot do all it needs", found.name),
            remedy: format!("allow its role there: {}", names(missing)),
        })
    }

    /// Which of these roles would hear nothing of a post in a channel, and what can be done about it: a line for each.
    ///
    /// # Errors
    /// As those of [`check_place`](Self::check_place).
    pub async fn unheard(&self, place: &str, roles: &[String], around: &Surroundings) -> Result<Vec<String>, ChatError> {
        let (_, has) = self.look_at(channel_id(place)?, around).await?;
        let unheard = |role: &String| match id(role).and_then(|id| around.guild.roles.get(&RoleId::from(id))) {
            None => Some(format!(
                "the server has no role {role}, so nobody hears of it; write the id of one it has (Server Settings, Roles, Copy Role ID)"
            )),
            Some(there) if there.mentionable || has.mention_everyone() => None,
            Some(there) => Some(format!(
                "the bot may not mention the role {role} (@{}); let anyone mention it (Server Settings, Roles), or allow the bot's role there: Mention @everyone, @here, and All Roles",
                there.name
            )),
        };
        Ok(roles.iter().filter_map(unheard).collect())
    }

    /// A channel of the guild, and what the bot may do in it.
    async fn look_at(&self, channel: ChannelId, around: &Surroundings) -> Result<(GuildChannel, Permissions), ChatError> {
        let found = self.ask(self.deadline(), || self.http.get_channel(channel)).await.map_err(|fault| fault.during(WHAT, channel))?;
        let found = match found {
            Channel::Guild(found) if found.guild_id == self.guild => found,
            _ => {
                return Err(ChatError::Refused {
                    reason: format!("Discord channel {channel} is not in the server {}", self.guild),
                    remedy: "name a channel of that server, or the channel's server".into(),
                });
            }
        };
        let has = around.guild.partial_member_permissions_in(&found, self.me, &around.member);
        Ok((found, has))
    }
}
