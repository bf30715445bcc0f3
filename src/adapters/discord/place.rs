//! The check whether a channel can be written to.

use serde::{Deserialize, de::DeserializeOwned};
use serenity::{
    all::{
        Channel, ChannelFlags, ChannelId, ChannelType, GuildChannel, PartialGuild, PartialMember,
        Permissions, RoleId,
    },
    http::{LightMethod, Request, Route},
};

use super::{Discord, channel_id, error::DiscordFault, id};
use crate::ports::ChatError;

const CHECKING_PERMISSIONS: &str = "checking the permissions";

/// The permissions that the bot's role needs in every channel it posts to.
pub(super) const NEEDED_PERMISSIONS: Permissions = Permissions::VIEW_CHANNEL
    .union(Permissions::SEND_MESSAGES)
    // without it Discord drops the embed, and with it the mark a post is found by
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    // without it the history comes back empty, which looks like "never posted"
    .union(Permissions::READ_MESSAGE_HISTORY)
    .union(Permissions::CREATE_PUBLIC_THREADS)
    .union(Permissions::SEND_MESSAGES_IN_THREADS);

/// The abilities that the plan wants of a channel besides posting.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequiredPermissions {
    pub publish: bool,
    pub pin: bool,
    pub calendar: bool,
}

/// In serenity's list this one is still to come.
pub(super) const PIN_MESSAGES: Permissions = Permissions::from_bits_retain(1 << 51);

/// Permissions as Discord's settings name them.
pub(super) fn names(permissions: Permissions) -> String {
    let named = [
        (Permissions::VIEW_CHANNEL, "View Channel"),
        (Permissions::SEND_MESSAGES, "Send Messages"),
        (Permissions::EMBED_LINKS, "Embed Links"),
        (Permissions::ATTACH_FILES, "Attach Files"),
        (Permissions::READ_MESSAGE_HISTORY, "Read Message History"),
        (Permissions::CREATE_PUBLIC_THREADS, "Create Public Threads"),
        (
            Permissions::SEND_MESSAGES_IN_THREADS,
            "Send Messages in Threads",
        ),
    ];
    let wanted: Vec<_> = named
        .into_iter()
        .filter(|(p, _)| permissions.contains(*p))
        .map(|(_, name)| name)
        .collect();
    wanted.join(", ")
}

/// The server and the bot's place in it: the same for all channels, so that it is asked for once.
pub struct ServerInfo {
    guild: PartialGuild,
    member: PartialMember,
}

impl Discord {
    /// # Errors
    /// `Retry` if Discord couldn't be asked, `Refused` if the bot is in the server no more.
    pub async fn surroundings(&self) -> Result<ServerInfo, ChatError> {
        let failed = |fault: DiscordFault| {
            let reason = format!("looking at the server {}: {}", self.guild, fault.words());
            match fault {
                DiscordFault::Unsure { after_ms, .. } => ChatError::Retry { reason, after_ms },
                DiscordFault::Unreadable { .. } => ChatError::Retry {
                    reason,
                    after_ms: None,
                },
                _ => ChatError::Refused {
                    reason,
                    remedy: "invite the bot again, and look at its token".into(),
                },
            }
        };
        let deadline = self.deadline();
        let guild = self
            .ask(deadline, || self.http.get_guild(self.guild))
            .await
            .map_err(failed)?;
        let member = self
            .ask(deadline, || self.http.get_member(self.guild, self.me))
            .await
            .map_err(failed)?;
        Ok(ServerInfo {
            guild,
            member: PartialMember::from(member),
        })
    }

    /// Checks that a channel is in the guild, takes messages, and lets the bot do all that posting needs.
    ///
    /// # Errors
    /// `Refused` says what is missing and who can mend it; `Retry` if Discord couldn't be asked.
    pub async fn check_place(&self, place: &str, around: &ServerInfo) -> Result<(), ChatError> {
        let channel = channel_id(place)?;
        let (found, has) = self.look_at(channel, around).await?;
        if !matches!(
            found.kind,
            ChannelType::Text | ChannelType::News | ChannelType::Forum
        ) {
            return Err(ChatError::Refused {
                reason: format!("Discord channel {channel} (#{}) takes no posts", found.name),
                remedy: "name a text or announcement channel, or a forum".into(),
            });
        }
        if found.kind == ChannelType::Forum && found.flags.contains(ChannelFlags::REQUIRE_TAG) {
            return Err(ChatError::Refused {
                reason: format!("the forum {channel} (#{}) wants a tag on each topic", found.name),
                remedy: "turn that off in its settings (Require people to select tags), or name another channel".into(),
            });
        }
        let missing = NEEDED_PERMISSIONS - has;
        if missing.is_empty() {
            return Ok(());
        }
        Err(ChatError::Refused {
            reason: format!(
                "Discord channel {channel} (#{}) does not let the bot do all it needs",
                found.name
            ),
            remedy: format!("allow its role there: {}", names(missing)),
        })
    }

    /// Lists what the plan wants of a channel and the bot may not do there: a line for each.
    ///
    /// # Errors
    /// As those of [`check_place`](Self::check_place).
    pub async fn lacks(
        &self,
        place: &str,
        wants: RequiredPermissions,
        around: &ServerInfo,
    ) -> Result<Vec<String>, ChatError> {
        let channel = channel_id(place)?;
        let (found, has) = self.look_at(channel, around).await?;
        let pins = !wants.pin
            || self
                .may_pin(channel)
                .await
                .map_err(|fault| fault.during(CHECKING_PERMISSIONS, channel))?;
        let is_news = found.kind == ChannelType::News;
        let lacking = [
            (
                !pins,
                "the status board can't be pinned: allow the bot's role there: Pin Messages",
            ),
            (
                wants.calendar && !has.contains(Permissions::CREATE_EVENTS),
                "the window can't be put into the server's calendar: allow the bot's role: Create Events",
            ),
            (
                wants.publish && !is_news,
                "`publish` is set, and nobody can follow it: make it an announcement channel, or remove `publish`",
            ),
            (
                !wants.publish && is_news,
                "it is an announcement channel: with `publish: true` in herald.yaml its posts reach the servers that follow it",
            ),
        ];
        Ok(lacking
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, line)| line.to_owned())
            .collect())
    }

    /// Lists which of these roles would hear nothing of a post in a channel, and what can be done about it: a line for each.
    ///
    /// # Errors
    /// As those of [`check_place`](Self::check_place).
    pub async fn unheard(
        &self,
        place: &str,
        roles: &[String],
        around: &ServerInfo,
    ) -> Result<Vec<String>, ChatError> {
        let (_, has) = self.look_at(channel_id(place)?, around).await?;
        let unheard = |role: &String| match id(role)
            .and_then(|id| around.guild.roles.get(&RoleId::from(id)))
        {
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

    /// Asks whether the bot may pin in a channel. serenity drops the permissions it doesn't know, so this one is read as Discord
    /// has it.
    async fn may_pin(&self, channel: ChannelId) -> Result<bool, DiscordFault> {
        let guild: Roles = self
            .get(Route::Guild {
                guild_id: self.guild,
            })
            .await?;
        let member: Membership = self
            .get(Route::GuildMember {
                guild_id: self.guild,
                user_id: self.me,
            })
            .await?;
        let place: Overwrites = self
            .get(Route::Channel {
                channel_id: channel,
            })
            .await?;
        Ok(allowed(
            &guild,
            &place,
            &member.roles,
            &self.guild.to_string(),
            &self.me.to_string(),
            PIN_MESSAGES.bits(),
        ))
    }

    async fn get<T: DeserializeOwned>(&self, route: Route<'static>) -> Result<T, DiscordFault> {
        self.ask(self.deadline(), || {
            self.http.fire(Request::new(route, LightMethod::Get))
        })
        .await
    }

    /// A channel of the guild, and what the bot may do in it.
    async fn look_at(
        &self,
        channel: ChannelId,
        around: &ServerInfo,
    ) -> Result<(GuildChannel, Permissions), ChatError> {
        let found = self
            .ask(self.deadline(), || self.http.get_channel(channel))
            .await
            .map_err(|fault| fault.during(CHECKING_PERMISSIONS, channel))?;
        let found = match found {
            Channel::Guild(found) if found.guild_id == self.guild => found,
            _ => {
                return Err(ChatError::Refused {
                    reason: format!(
                        "Discord channel {channel} is not in the server {}",
                        self.guild
                    ),
                    remedy: "name a channel of that server, or the channel's server".into(),
                });
            }
        };
        let has = around
            .guild
            .partial_member_permissions_in(&found, self.me, &around.member);
        Ok((found, has))
    }
}

#[derive(Deserialize)]
struct Roles {
    roles: Vec<ServerRole>,
}

#[derive(Deserialize)]
struct ServerRole {
    id: String,
    permissions: String,
}

#[derive(Deserialize)]
struct Membership {
    roles: Vec<String>,
}

#[derive(Deserialize)]
struct Overwrites {
    #[serde(default)]
    permission_overwrites: Vec<Overwrite>,
}

#[derive(Deserialize)]
struct Overwrite {
    id: String,
    allow: String,
    deny: String,
}

/// Finds out whether a member with these roles has a permission in a channel: what roles give, and what the channel says of everybody, of
/// its roles and of the member, the later the stronger. The guild's id is the role of everybody.
fn allowed(
    guild: &Roles,
    channel: &Overwrites,
    own: &[String],
    everybody: &str,
    me: &str,
    wanted: u64,
) -> bool {
    let bits = |bits: &str| bits.parse::<u64>().unwrap_or(0);
    let is_own = |id: &String| id == everybody || own.contains(id);
    let given = guild
        .roles
        .iter()
        .filter(|r| is_own(&r.id))
        .fold(0, |all, r| all | bits(&r.permissions));
    if given & Permissions::ADMINISTRATOR.bits() != 0 {
        return true;
    }
    let layer = |has: u64, of: &dyn Fn(&String) -> bool| {
        let those = || channel.permission_overwrites.iter().filter(|o| of(&o.id));
        let deny = those().fold(0, |all, o| all | bits(&o.deny));
        let allow = those().fold(0, |all, o| all | bits(&o.allow));
        has & !deny | allow
    };
    let has = layer(given, &|id| id == everybody);
    let has = layer(has, &|id| own.contains(id));
    layer(has, &|id| id == me) & wanted == wanted
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_channel_takes_away_and_gives_back() {
        let pin = PIN_MESSAGES.bits();
        let roles = json!({ "roles": [{ "id": "1", "permissions": "0" }, { "id": "2", "permissions": pin.to_string() }, { "id": "3", "permissions": "8" }] });
        let roles: Roles = serde_json::from_value(roles).unwrap();
        let of = |overwrites: Value, own: &[&str]| {
            let own: Vec<String> = own.iter().map(|id| (*id).to_owned()).collect();
            let channel =
                serde_json::from_value(json!({ "permission_overwrites": overwrites })).unwrap();
            allowed(&roles, &channel, &own, "1", "9", pin)
        };
        let (deny, allow) = (
            |id: &str| json!({ "id": id, "deny": pin.to_string(), "allow": "0" }),
            |id: &str| json!({ "id": id, "deny": "0", "allow": pin.to_string() }),
        );
        assert!(!of(json!([]), &[]) && of(json!([]), &["2"]));
        assert!(!of(json!([deny("1")]), &["2"]) && of(json!([deny("1"), allow("2")]), &["2"]));
        assert!(
            !of(json!([allow("2"), deny("9")]), &["2"])
                && of(json!([deny("2"), allow("9")]), &["2"])
        );
        assert!(
            of(json!([deny("1"), deny("9")]), &["3"]),
            "an administrator may all"
        );
    }
}
