//! The JSON of each thing that Discord sends. Ids are strings, times ISO 8601, and every field that
//! Discord always sends is there.

use serde_json::{Map, Value, json};

use super::{
    clock::iso,
    state::{Attachment, Channel, Message, ORDINARY, State},
};

impl State {
    pub(super) fn user_json(&self, user: u64) -> Value {
        let name = self
            .people
            .get(&user)
            .map_or("deleted", |person| &person.name);
        json!({
            "id": user.to_string(),
            "username": name,
            "global_name": null,
            "discriminator": if user == self.bot { "4242" } else { "0" },
            "avatar": null,
            "bot": user == self.bot,
            "system": false,
            "banner": null,
            "accent_color": null,
            "avatar_decoration_data": null,
            "collectibles": null,
            "primary_guild": null,
            "public_flags": 0,
            "flags": 0,
        })
    }

    /// The bot about itself.
    pub(super) fn current_user_json(&self) -> Value {
        let mut user = self.user_json(self.bot);
        user["mfa_enabled"] = json!(true);
        user["verified"] = json!(true);
        user["email"] = Value::Null;
        user["locale"] = json!("en-US");
        user["premium_type"] = json!(0);
        user
    }

    pub(super) fn member_json(&self, user: u64) -> Value {
        let mut member = self.partial_member_json(user);
        member["user"] = self.user_json(user);
        member
    }

    fn partial_member_json(&self, user: u64) -> Value {
        let roles = self
            .people
            .get(&user)
            .map_or(&[][..], |person| &person.roles);
        json!({
            "nick": null,
            "avatar": null,
            "banner": null,
            "roles": roles.iter().map(u64::to_string).collect::<Vec<_>>(),
            "joined_at": iso(1_700_000_000_000),
            "premium_since": null,
            "deaf": false,
            "mute": false,
            "flags": 0,
            "pending": false,
            "communication_disabled_until": null,
            "unusual_dm_activity_until": null,
            "avatar_decoration_data": null,
        })
    }

    pub(super) fn roles_json(&self) -> Value {
        let roles = self.roles.iter().enumerate().map(|(position, (id, role))| {
            json!({
                "id": id.to_string(),
                "name": role.name,
                "description": null,
                "permissions": role.permissions.to_string(),
                "position": position,
                "color": 0,
                "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
                "hoist": false,
                "managed": role.managed,
                "mentionable": role.mentionable,
                "icon": null,
                "unicode_emoji": null,
                "flags": 0,
                "tags": if role.managed { json!({"bot_id": self.bot.to_string()}) } else { json!({}) },
            })
        });
        roles.collect()
    }

    pub(super) fn channel_json(&self, channel: &Channel) -> Value {
        let id = channel.id.to_string();
        let last = self.visible(channel.id).next_back();
        let mut json = json!({
            "id": id,
            "type": channel.kind,
            "guild_id": self.guild.to_string(),
            "name": channel.name,
            "parent_id": channel.parent.map(|id| id.to_string()),
            "last_message_id": last.map(|message| message.id.to_string()),
            "last_pin_timestamp": channel.last_pin_ms.map(iso),
            "rate_limit_per_user": 0,
            "flags": 0,
        });
        let more = if channel.is_thread() {
            self.thread_fields(channel)
        } else {
            self.place_fields(channel)
        };
        merge(&mut json, more);
        json
    }

    fn thread_fields(&self, thread: &Channel) -> Value {
        // A thread's first message isn't counted, nor are notices.
        let count = self
            .visible(thread.id)
            .filter(|message| ORDINARY.contains(&message.kind) && message.id != thread.id)
            .count();
        json!({
            "owner_id": thread.owner.to_string(),
            "message_count": count,
            "total_message_sent": count,
            "member_count": 1,
            "applied_tags": thread.applied_tags,
            "thread_metadata": {
                "archived": thread.archived,
                "archive_timestamp": iso(thread.archived_ms),
                "auto_archive_duration": thread.archive_minutes,
                "locked": thread.locked,
                "create_timestamp": iso(thread.created_ms),
            },
        })
    }

    fn place_fields(&self, channel: &Channel) -> Value {
        let overwrites = match channel.denied {
            0 => json!([]),
            denied => json!([{
                "id": self.bot.to_string(),
                "type": 1,
                "allow": "0",
                "deny": denied.to_string(),
            }]),
        };
        let mut fields = json!({
            "topic": channel.topic,
            "position": channel.position,
            "permission_overwrites": overwrites,
            "nsfw": false,
        });
        if channel.kind == 15 {
            let forum = json!({
                "available_tags": [],
                "default_reaction_emoji": null,
                "default_sort_order": null,
                "default_forum_layout": 0,
                "template": "",
            });
            merge(&mut fields, forum);
        }
        fields
    }

    fn reaction_json(&self, emoji: &str, users: &[u64]) -> Value {
        json!({
            "emoji": emoji_json(emoji),
            "count": users.len(),
            "count_details": {"burst": 0, "normal": users.len()},
            "burst_colors": [],
            "me": users.contains(&self.bot),
            "me_burst": false,
            "burst_me": false,
            "burst_count": 0,
        })
    }

    /// A message as the bot may see it; `privileged` is the MESSAGE_CONTENT intent.
    pub(super) fn message_json(&self, message: &Message, privileged: bool) -> Value {
        let mut json = self.whole_message_json(message, privileged);
        if self.spoiled.contains(&message.id) {
            json["author"]["id"] = json!("what nobody can read");
        }
        json
    }

    fn whole_message_json(&self, message: &Message, privileged: bool) -> Value {
        let shown =
            privileged || message.author_id == self.bot || message.mentions.contains(&self.bot);
        let hide = |value: &Value| if shown { value.clone() } else { json!([]) };
        let users = |ids: &[u64]| ids.iter().map(|id| self.user_json(*id)).collect::<Value>();
        let mut json = json!({
            "id": message.id.to_string(),
            "channel_id": message.channel_id.to_string(),
            "type": message.kind,
            "author": self.user_json(message.author_id),
            "content": if shown { message.content.as_str() } else { "" },
            "embeds": hide(&message.embeds),
            "components": hide(&message.components),
            "attachments": hide(&message.attachments.iter().map(attachment_json).collect()),
            "timestamp": iso(message.created_ms),
            "edited_timestamp": message.edited_ms.map(iso),
            "tts": false,
            "mention_everyone": message.mention_everyone,
            "mentions": users(&message.mentions),
            "mention_roles": message.mention_roles.iter().map(u64::to_string).collect::<Vec<_>>(),
            "pinned": message.pinned,
            "flags": message.flags,
        });
        if !message.reactions.is_empty() {
            let reactions = message.reactions.iter();
            json["reactions"] = reactions
                .map(|reaction| self.reaction_json(&reaction.emoji, &reaction.users))
                .collect();
        }
        let thread = message.thread_id.and_then(|id| self.channels.get(&id));
        if let Some(thread) = thread {
            json["thread"] = self.channel_json(thread);
        }
        self.message_links(message, privileged, &mut json);
        json
    }

    fn message_links(&self, message: &Message, privileged: bool, json: &mut Value) {
        if let Some(original) = message.reply_to {
            let found = self.messages.get(&original);
            // A notice at the head of a thread points into the parent channel.
            let place = found.map_or(message.channel_id, |found| found.channel_id);
            json["message_reference"] = json!({
                "type": 0,
                "message_id": original.to_string(),
                "channel_id": place.to_string(),
                "guild_id": self.guild.to_string(),
            });
            json["referenced_message"] = match found {
                Some(found) => {
                    let mut plain = found.clone();
                    plain.reply_to = None;
                    self.message_json(&plain, privileged)
                }
                None => Value::Null,
            };
        }
        let interaction = message.interaction.and_then(|id| {
            let interaction = self.interactions.get(&id)?;
            Some((id, interaction))
        });
        if let Some((id, interaction)) = interaction {
            json["application_id"] = json!(self.bot.to_string());
            json["webhook_id"] = json!(self.bot.to_string());
            json["interaction"] = json!({
                "id": id.to_string(),
                "type": 2,
                "name": interaction.command,
                "user": self.user_json(interaction.user),
            });
            json["interaction_metadata"] = json!({
                "id": id.to_string(),
                "type": 2,
                "user": self.user_json(interaction.user),
                "authorizing_integration_owners": {"0": self.guild.to_string()},
                "name": interaction.command,
                "command_type": 1,
            });
        }
    }

    /// The guild as `GET /guilds/{id}` tells it.
    pub(super) fn guild_json(&self) -> Value {
        json!({
            "id": self.guild.to_string(),
            "name": "Upgrade notices",
            "icon": null,
            "icon_hash": null,
            "splash": null,
            "discovery_splash": null,
            "home_header": null,
            "owner_id": (self.guild - 1).to_string(),
            "region": "us-west",
            "afk_channel_id": null,
            "afk_timeout": 300,
            "widget_enabled": false,
            "widget_channel_id": null,
            "verification_level": 1,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": self.roles_json(),
            "emojis": [],
            "stickers": [],
            "features": ["COMMUNITY", "NEWS"],
            "mfa_level": 0,
            "application_id": null,
            "system_channel_id": null,
            "system_channel_flags": 0,
            "rules_channel_id": null,
            "max_presences": null,
            "max_members": 500_000,
            "vanity_url_code": null,
            "description": null,
            "banner": null,
            "premium_tier": 0,
            "premium_subscription_count": 0,
            "premium_progress_bar_enabled": false,
            "preferred_locale": "en-US",
            "public_updates_channel_id": null,
            "max_video_channel_users": 25,
            "max_stage_video_channel_users": 50,
            "nsfw": false,
            "nsfw_level": 0,
            "safety_alerts_channel_id": null,
            "incidents_data": null,
        })
    }

    /// The guild as GUILD_CREATE tells it, with what the bot may see of its contents.
    pub(super) fn guild_create_json(&self) -> Value {
        let (threads, places): (Vec<_>, Vec<_>) = self
            .channels
            .values()
            .partition(|channel| channel.is_thread());
        let open = threads.into_iter().filter(|thread| !thread.archived);
        let mut json = self.guild_json();
        let more = json!({
            "joined_at": iso(1_700_000_000_000),
            "large": false,
            "unavailable": false,
            "member_count": self.people.len(),
            "voice_states": [],
            "members": [self.member_json(self.bot)],
            "channels": places.into_iter().map(|c| self.channel_json(c)).collect::<Vec<_>>(),
            "threads": open.map(|c| self.channel_json(c)).collect::<Vec<_>>(),
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": self.events.values().collect::<Vec<_>>(),
            "soundboard_sounds": [],
        });
        merge(&mut json, more);
        json
    }

    /// The application, as both routes to it tell it.
    pub(super) fn application_json(&self) -> Value {
        // GATEWAY_MESSAGE_CONTENT_LIMITED: the switch that small applications turn on themselves.
        let flags = if self.options.message_content {
            1 << 19
        } else {
            0
        };
        json!({
            "id": self.bot.to_string(),
            "name": "herald",
            "icon": null,
            "description": "",
            "type": null,
            "summary": "",
            "bot": self.user_json(self.bot),
            "bot_public": false,
            "bot_require_code_grant": false,
            "integration_types_config": {"0": {}},
            "verify_key": "00".repeat(32),
            "flags": flags,
            "owner": self.user_json(self.guild - 1),
            "team": null,
            "rpc_origins": [],
            "redirect_uris": [],
            "interactions_endpoint_url": null,
            "role_connections_verification_url": null,
            "approximate_guild_count": 1,
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "flags_new": flags.to_string(),
            "explicit_content_filter": 0,
            "eligible_oauth2_scopes": ["bot", "applications.commands"],
        })
    }

    /// The fields that a message has only in gateway events.
    pub(super) fn message_event_json(&self, message: &Message, privileged: bool) -> Value {
        let mut json = self.message_json(message, privileged);
        json["guild_id"] = json!(self.guild.to_string());
        json["member"] = self.partial_member_json(message.author_id);
        json
    }
}

/// A picture has its measures, which Discord reads from the file.
fn attachment_json(file: &Attachment) -> Value {
    let url = format!(
        "https://cdn.discordapp.com/attachments/1/{}/{}",
        file.id, file.name
    );
    let mut json = json!({
        "id": file.id.to_string(),
        "filename": file.name,
        "size": file.bytes.len(),
        "url": url,
        "proxy_url": url,
    });
    if let Some(description) = &file.description {
        json["description"] = json!(description);
    }
    if let Some(kind) = &file.content_type {
        json["content_type"] = json!(kind);
    }
    if let Some((width, height)) = png_size(&file.bytes) {
        merge(&mut json, json!({"width": width, "height": height}));
    }
    json
}

fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    bytes.starts_with(b"\x89PNG\r\n\x1a\n").then_some(())?;
    Some((number(16)?, number(20)?))
}

/// `✅` or `name:123`, as an emoji object.
pub(super) fn emoji_json(emoji: &str) -> Value {
    match emoji.rsplit_once(':') {
        Some((name, id)) => json!({"id": id, "name": name.trim_start_matches("a:")}),
        None => json!({"id": null, "name": emoji}),
    }
}

/// Adds the fields of `more` to an object.
pub(super) fn merge(json: &mut Value, more: Value) {
    let fields: Map<String, Value> = match more {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Some(object) = json.as_object_mut() {
        object.extend(fields);
    }
}
