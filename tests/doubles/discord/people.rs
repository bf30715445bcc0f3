//! What people do: write, react, archive, and give slash commands.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    Double,
    clock::now_ms,
    gateway::{Out, intent},
    options::permission,
    routes::ACKNOWLEDGE,
    state::{EPHEMERAL, Interaction, Message, Person, Role, State},
    wire::merge,
};

/// How long a person waits for the answer after "thinking…".
const PATIENCE: Duration = Duration::from_secs(60);

/// What a person sees after a slash command.
#[derive(Clone, Debug)]
pub struct Answer {
    pub content: String,
    /// An array of embeds.
    pub embeds: Value,
    /// Whether only the asker sees it.
    pub ephemeral: bool,
    /// How long the bot took to acknowledge the command.
    pub acknowledged_after: Duration,
    /// Whether it said "thinking…" first.
    pub deferred: bool,
    /// The answer as a message.
    pub message: Message,
}

/// Why a person sees no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlashError {
    /// The command (or subcommand) isn't registered in the guild.
    NotRegistered(String),
    /// Its registered options don't fit those given.
    WrongOptions(String),
    /// The person lacks the permissions that the command was registered with.
    NotAllowed,
    /// "The application did not respond": nothing within 3 s.
    NotAcknowledged,
    /// Deferred, then nothing within 10 s.
    NeverEdited,
}

impl Double {
    /// Adds a person who may do what members usually may.
    pub fn add_person(&self, name: &str) -> u64 {
        let usual = permission::INVITED | permission::USE_APPLICATION_COMMANDS;
        self.add_person_with(name, &[], usual)
    }

    /// Adds a person with roles and permissions of their own.
    pub fn add_person_with(&self, name: &str, roles: &[u64], permissions: u64) -> u64 {
        self.inner.update(|state| {
            let person = Person {
                name: name.to_owned(),
                roles: roles.to_vec(),
                permissions,
            };
            let id = state.next_id();
            state.people.insert(id, person);
            id
        })
    }

    /// Adds a role, which anybody or only some may mention.
    pub fn add_role(&self, name: &str, mentionable: bool) -> u64 {
        self.inner.update(|state| {
            let role = Role {
                name: name.to_owned(),
                permissions: 0,
                managed: false,
                mentionable,
            };
            let id = state.next_id();
            state.roles.insert(id, role);
            id
        })
    }

    /// A person chooses an emoji under a message.
    pub async fn react(&self, channel: u64, message: u64, user: u64, emoji: &str) {
        self.inner.update(|state| {
            state.meet(user);
            let found = state.message(channel, message);
            assert!(found.is_ok(), "no message {message} in channel {channel}");
            state.add_reaction(message, user, emoji);
        });
    }

    /// A person takes it back.
    pub async fn unreact(&self, channel: u64, message: u64, user: u64, emoji: &str) {
        self.inner.update(|state| {
            let found = state.message(channel, message);
            assert!(found.is_ok(), "no message {message} in channel {channel}");
            state.remove_reaction(message, user, emoji);
        });
    }

    /// A person writes into a channel or thread.
    pub async fn say(&self, channel: u64, user: u64, text: &str) -> u64 {
        self.say_as(channel, user, text, None)
    }

    /// A person replies to a message, which also mentions its author.
    pub async fn reply(&self, channel: u64, user: u64, to: u64, text: &str) -> u64 {
        self.say_as(channel, user, text, Some(to))
    }

    fn say_as(&self, channel: u64, user: u64, text: &str, to: Option<u64>) -> u64 {
        self.inner.update(|state| {
            state.meet(user);
            assert!(
                state.channels.contains_key(&channel),
                "no channel {channel}"
            );
            let mut message = state.draft(channel, user, if to.is_some() { 19 } else { 0 });
            text.clone_into(&mut message.content);
            message.reply_to = to;
            state.notify(&mut message);
            let id = message.id;
            state.publish(message);
            id
        })
    }

    /// A person changes what they wrote.
    pub async fn edit_said(&self, message: u64, text: &str) {
        self.inner.update(|state| {
            let found = state.messages.get_mut(&message).expect("a message to edit");
            let said = std::mem::replace(&mut found.content, text.to_owned());
            found.history.push(said);
            found.edited = true;
            found.edited_ms = Some(now_ms());
            let mut changed = found.clone();
            state.notify(&mut changed);
            state.messages.insert(message, changed);
            state.message_event("MESSAGE_UPDATE", message);
        });
    }

    /// Somebody deletes a message: their own, or as a moderator anyone's, the bot's too.
    pub async fn delete_said(&self, message: u64) {
        self.inner.update(|state| {
            let gone = state
                .messages
                .remove(&message)
                .expect("a message to delete");
            state.message_deleted(&gone);
        });
    }

    /// Somebody archives a thread, or opens it again; locked, only moderators can open it.
    pub async fn archive(&self, thread: u64, archived: bool, locked: bool) {
        self.inner.update(|state| {
            let found = state.channels.get_mut(&thread).expect("a thread");
            (found.archived, found.locked) = (archived, locked);
            found.archived_ms = now_ms();
            state.thread_event("THREAD_UPDATE", thread);
        });
    }

    /// Somebody deletes a channel or a thread, with all messages.
    pub async fn delete_channel(&self, channel: u64) {
        self.inner.update(|state| {
            let Some(gone) = state.channels.get(&channel).cloned() else {
                panic!("no channel {channel}");
            };
            let json = state.channel_json(&gone);
            let kind = if gone.is_thread() {
                "THREAD_DELETE"
            } else {
                "CHANNEL_DELETE"
            };
            state.dispatch(kind, intent::GUILDS, &json);
            state.channels.remove(&channel);
            state
                .messages
                .retain(|_, message| message.channel_id != channel);
        });
    }

    /// Takes permissions from the bot in one channel and its threads.
    pub fn deny(&self, channel: u64, permissions: u64) {
        self.inner.update(|state| {
            let found = state.channels.get_mut(&channel).expect("a channel");
            found.denied = permissions;
            let found = found.clone();
            let json = state.channel_json(&found);
            state.dispatch("CHANNEL_UPDATE", intent::GUILDS, &json);
        });
    }

    /// A person gives a slash command without options, and waits for the answer. An empty
    /// `subcommand` gives the command itself.
    pub async fn slash(
        &self,
        user: u64,
        channel: u64,
        command: &str,
        subcommand: &str,
    ) -> Result<Answer, SlashError> {
        self.slash_with(user, channel, command, subcommand, &[])
            .await
    }

    /// A person presses the button with these words on a message, and waits for the answer.
    pub async fn press(
        &self,
        user: u64,
        channel: u64,
        message: &Message,
        label: &str,
    ) -> Result<Answer, SlashError> {
        let id = self.pressed(user, channel, message, label)?;
        self.answer_to(id).await
    }

    /// Presses the button with these words.
    fn pressed(
        &self,
        user: u64,
        channel: u64,
        message: &Message,
        label: &str,
    ) -> Result<u64, SlashError> {
        let rows = message.components.as_array().into_iter().flatten();
        let mut buttons =
            rows.flat_map(|row| row["components"].as_array().cloned().unwrap_or_default());
        let button = buttons.find(|b| b["label"] == label);
        let button =
            button.ok_or_else(|| SlashError::WrongOptions(format!("no button `{label}`")))?;
        Ok(self.inner.update(|state| {
            state.meet(user);
            state.press(user, channel, message, &button)
        }))
    }

    /// A person presses a button, and sees the window that it opens.
    pub async fn press_for_window(
        &self,
        user: u64,
        channel: u64,
        message: &Message,
        label: &str,
    ) -> Result<Value, SlashError> {
        let id = self.pressed(user, channel, message, label)?;
        self.until(ACKNOWLEDGE, |state| {
            state.interactions[&id].acknowledged_after.is_some()
        })
        .await;
        self.inner
            .read(|state| state.interactions[&id].modal.clone())
            .ok_or(SlashError::NotAcknowledged)
    }

    /// A person writes into each field of a window, sends it, and waits for the answer.
    pub async fn submit(
        &self,
        user: u64,
        channel: u64,
        window: &Value,
        text: &str,
    ) -> Result<Answer, SlashError> {
        let inputs = window["components"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|row| row["components"].as_array().cloned().unwrap_or_default());
        for input in inputs {
            if input["max_length"]
                .as_u64()
                .is_some_and(|most| text.chars().count() as u64 > most)
            {
                return Err(SlashError::WrongOptions(
                    "the words are longer than the field".into(),
                ));
            }
        }
        let rows = window["components"].as_array().into_iter().flatten().map(|row| {
            let filled = row["components"].as_array().into_iter().flatten();
            let filled: Vec<Value> = filled.map(|i| json!({ "type": 4, "id": 3, "custom_id": i["custom_id"], "value": text })).collect();
            json!({ "type": 1, "id": 2, "components": filled })
        });
        let data =
            json!({ "custom_id": window["custom_id"], "components": rows.collect::<Vec<_>>() });
        let id = self.inner.update(|state| {
            state.meet(user);
            state.send_interaction(
                (user, channel),
                "a window".to_owned(),
                json!({ "type": 5, "data": data }),
            )
        });
        self.answer_to(id).await
    }

    /// A person gives a slash command without options, and waits for nothing; the number by which `heeded` knows it.
    pub fn slash_away(
        &self,
        user: u64,
        channel: u64,
        command: &str,
        subcommand: &str,
    ) -> Result<u64, SlashError> {
        self.inner.update(|state| {
            state.meet(user);
            state.give(user, channel, command, subcommand, &[])
        })
    }

    /// Delivers every interaction so far once more, as Discord may when it doesn't know whether it came through.
    pub fn deliver_again(&self) {
        self.inner.update(|state| {
            let events = state.interactions.values().map(|one| one.event.clone());
            for event in events.collect::<Vec<_>>() {
                state.dispatch("INTERACTION_CREATE", 0, &event);
            }
        });
    }

    /// Whether a command given away was acknowledged.
    pub fn heeded(&self, command: u64) -> bool {
        self.inner
            .read(|state| state.interactions[&command].acknowledged_after.is_some())
    }

    /// What was said behind an answer, to the same person.
    pub fn behind(&self, answer: &Answer) -> Vec<Message> {
        let same =
            |m: &&Message| m.interaction == answer.message.interaction && m.id != answer.message.id;
        self.inner
            .read(|state| state.messages.values().filter(same).cloned().collect())
    }

    /// How long a command given away waited for its answer, once it has one: a "thinking…" is none.
    pub fn answered_after(&self, command: u64) -> Option<Duration> {
        self.inner
            .read(|state| state.interactions[&command].answered_after)
    }

    /// A person gives a slash command with options.
    pub async fn slash_with(
        &self,
        user: u64,
        channel: u64,
        command: &str,
        subcommand: &str,
        options: &[(&str, Value)],
    ) -> Result<Answer, SlashError> {
        let id = self.inner.update(|state| {
            state.meet(user);
            state.give(user, channel, command, subcommand, options)
        })?;
        self.answer_to(id).await
    }

    /// Waits for the acknowledgement of a command or a press, and then for its answer.
    async fn answer_to(&self, id: u64) -> Result<Answer, SlashError> {
        let acknowledged = |state: &State| state.interactions[&id].acknowledged_after;
        self.until(ACKNOWLEDGE, |state| acknowledged(state).is_some())
            .await;
        // An acknowledgement in the last moment counts by its own clock, not by this one.
        if self.inner.read(|state| acknowledged(state).is_none()) {
            return Err(SlashError::NotAcknowledged);
        }
        self.until(PATIENCE, |state| state.interactions[&id].answered)
            .await;
        self.inner
            .read(|state| answer(state, &state.interactions[&id]))
    }

    /// A person types an option of a slash command, and sees what is proposed.
    pub async fn types(
        &self,
        user: u64,
        channel: u64,
        command: &str,
        subcommand: &str,
        option: &str,
        typed: &str,
    ) -> Result<Vec<String>, SlashError> {
        let id = self.inner.update(|state| {
            state.meet(user);
            state.type_in(user, channel, command, subcommand, (option, typed))
        })?;
        let proposed = |state: &State| state.interactions[&id].proposed.clone();
        self.until(ACKNOWLEDGE, |state| proposed(state).is_some())
            .await;
        self.inner.read(proposed).ok_or(SlashError::NotAcknowledged)
    }

    /// Waits until the state is as wanted, or the time is over.
    pub(super) async fn until(&self, time: Duration, wanted: impl Fn(&State) -> bool) -> bool {
        let mut changes = self.inner.changed.subscribe();
        let wait = async {
            while !self.inner.read(&wanted) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(time, wait).await.is_ok()
    }

    /// The gateway drops every connection without a word; the sessions can be resumed.
    pub async fn cut_gateway(&self) {
        self.inner.update(|state| state.order(|| Out::Cut));
    }

    /// The gateway declares every session invalid (op 9); resumable ones stay.
    pub async fn invalid_session(&self, resumable: bool) {
        self.inner.update(|state| {
            state.order(|| Out::Send(json!({"op": 9, "d": resumable}).to_string()));
            if !resumable {
                state.sessions.clear();
            }
        });
    }

    /// The gateway asks every connection to reconnect (op 7).
    pub async fn ask_reconnect(&self) {
        self.inner
            .update(|state| state.order(|| Out::Send(json!({"op": 7, "d": null}).to_string())));
    }

    /// The bot's token is taken back, and its connections with it; the new one.
    pub async fn revoke_token(&self) -> String {
        let new = self.inner.update(|state| {
            state.token.push_str("-anew");
            state.token.clone()
        });
        self.close_gateway(4004).await;
        new
    }

    /// The gateway closes every connection with a code.
    pub async fn close_gateway(&self, code: u16) {
        self.inner
            .update(|state| state.order(|| Out::Close(code, "as ordered")));
    }

    /// The gateway stops (or resumes) acknowledging heartbeats.
    pub fn mute_heartbeats(&self, mute: bool) {
        self.inner.update(|state| state.mute_heartbeats = mute);
    }
}

fn answer(state: &State, interaction: &Interaction) -> Result<Answer, SlashError> {
    let message = interaction.answer.and_then(|id| state.messages.get(&id));
    let message = message
        .filter(|_| interaction.answered)
        .ok_or(SlashError::NeverEdited)?;
    Ok(Answer {
        content: message.content.clone(),
        embeds: message.embeds.clone(),
        ephemeral: message.flags & EPHEMERAL != 0,
        acknowledged_after: interaction.acknowledged_after.unwrap_or_default(),
        deferred: interaction.deferred,
        message: message.clone(),
    })
}

impl State {
    /// Checks a command against its registration and sends it to the bot.
    fn give(
        &mut self,
        user: u64,
        channel: u64,
        name: &str,
        subcommand: &str,
        given: &[(&str, Value)],
    ) -> Result<u64, SlashError> {
        let missing = || SlashError::NotRegistered(format!("/{name} {subcommand}"));
        let command = self
            .commands
            .values()
            .find(|command| command["name"] == name);
        let command = command.ok_or_else(missing)?.clone();
        let needed = command["default_member_permissions"].as_str();
        let needed: u64 = needed.and_then(|bits| bits.parse().ok()).unwrap_or(0);
        let permissions = self.people[&user].permissions;
        if permissions & needed != needed {
            return Err(SlashError::NotAllowed);
        }
        let subcommands = |option: &&Value| option["type"] == 1;
        let mut declared = command["options"].as_array().cloned().unwrap_or_default();
        if !subcommand.is_empty() {
            let found = declared
                .iter()
                .filter(subcommands)
                .find(|option| option["name"] == subcommand);
            let inner = found.ok_or_else(missing)?["options"].as_array().cloned();
            declared = inner.unwrap_or_default();
        } else if declared.iter().any(|option| subcommands(&option)) {
            return Err(missing());
        }
        let options = fill(&declared, given)?;
        Ok(self.interact(
            user,
            channel,
            name,
            subcommand,
            (2, &command["id"], options),
        ))
    }

    /// The same while it is being typed: only an option that says so is proposed for.
    fn type_in(
        &mut self,
        user: u64,
        channel: u64,
        name: &str,
        subcommand: &str,
        (option, typed): (&str, &str),
    ) -> Result<u64, SlashError> {
        let missing = || SlashError::NotRegistered(format!("/{name} {subcommand}"));
        let command = self
            .commands
            .values()
            .find(|command| command["name"] == name)
            .ok_or_else(missing)?
            .clone();
        let subcommands = command["options"].as_array().cloned().unwrap_or_default();
        let declared = subcommands
            .iter()
            .find(|o| o["name"] == subcommand)
            .ok_or_else(missing)?["options"]
            .clone();
        let declared = declared
            .as_array()
            .and_then(|all| all.iter().find(|o| o["name"] == option))
            .cloned();
        let declared =
            declared.ok_or_else(|| SlashError::WrongOptions(format!("no option `{option}`")))?;
        if declared["autocomplete"] != true {
            return Err(SlashError::WrongOptions(format!(
                "nothing is proposed for `{option}`"
            )));
        }
        let options =
            json!([{"type": declared["type"], "name": option, "value": typed, "focused": true}]);
        Ok(self.interact(
            user,
            channel,
            name,
            subcommand,
            (4, &command["id"], options),
        ))
    }

    /// Sends an interaction of a kind to the bot.
    fn interact(
        &mut self,
        user: u64,
        channel: u64,
        name: &str,
        subcommand: &str,
        (kind, command, options): (u64, &Value, Value),
    ) -> u64 {
        let options = if subcommand.is_empty() {
            options
        } else {
            json!([{"type": 1, "name": subcommand, "options": options}])
        };
        let data = json!({ "id": command, "name": name, "type": 1, "guild_id": self.guild.to_string(), "options": options });
        let command = format!("{name} {subcommand}").trim_end().to_owned();
        self.send_interaction(
            (user, channel),
            command,
            json!({ "type": kind, "data": data }),
        )
    }

    /// A press on a button, with the message it is on.
    fn press(&mut self, user: u64, channel: u64, message: &Message, button: &Value) -> u64 {
        let shown = self.message_json(message, true);
        let data = json!({ "component_type": 2, "custom_id": button["custom_id"], "id": 2 });
        self.send_interaction(
            (user, channel),
            "a button".to_owned(),
            json!({ "type": 3, "data": data, "message": shown }),
        )
    }

    /// `own` is what an interaction has beside what all of them have.
    fn send_interaction(
        &mut self,
        (user, channel): (u64, u64),
        command: String,
        own: Value,
    ) -> u64 {
        let permissions = self.people[&user].permissions;
        let id = self.next_id();
        let place = self
            .channels
            .get(&channel)
            .expect("a channel for the command");
        let mut member = self.member_json(user);
        merge(&mut member, json!({"permissions": permissions.to_string()}));
        let mut place_json = self.channel_json(place);
        merge(
            &mut place_json,
            json!({"permissions": permissions.to_string()}),
        );
        let token = format!("double-interaction-{id}");
        let mut event = json!({
            "id": id.to_string(),
            "application_id": self.bot.to_string(),
            "guild_id": self.guild.to_string(),
            "guild": {"id": self.guild.to_string(), "locale": "en-US", "features": []},
            "channel": place_json,
            "channel_id": channel.to_string(),
            "member": member,
            "token": token,
            "version": 1,
            "app_permissions": self.permissions(place).to_string(),
            "locale": "en-US",
            "guild_locale": "en-US",
            "entitlements": [],
            "entitlement_sku_ids": [],
            "authorizing_integration_owners": {"0": self.guild.to_string()},
            "context": 0,
            "attachment_size_limit": 10_485_760,
        });
        let (typing, pressed) = (own["type"] == 4, own["type"] == 3);
        merge(&mut event, own);
        let interaction = Interaction {
            token,
            user,
            channel,
            command,
            created: Instant::now(),
            acknowledged_after: None,
            answered_after: None,
            deferred: false,
            answered: false,
            answer: None,
            proposed: None,
            typing,
            pressed,
            modal: None,
            event: event.clone(),
        };
        self.interactions.insert(id, interaction);
        self.dispatch("INTERACTION_CREATE", 0, &event);
        id
    }
}

/// Gives each option its declared type; all that are required must be there.
fn fill(declared: &[Value], given: &[(&str, Value)]) -> Result<Value, SlashError> {
    let mut filled = Vec::new();
    for (name, value) in given {
        let option = declared
            .iter()
            .find(|option| option["name"] == *name)
            .ok_or_else(|| SlashError::WrongOptions(format!("no option `{name}`")))?;
        let choices = option["choices"].as_array().map_or(&[][..], Vec::as_slice);
        let choice = |choice: &Value| choice["value"] == *value;
        if !choices.is_empty() && option["autocomplete"] != true && !choices.iter().any(choice) {
            return Err(SlashError::WrongOptions(format!(
                "{value} isn't a choice of `{name}`"
            )));
        }
        filled.push(json!({"type": option["type"], "name": name, "value": value}));
    }
    let left_out = declared.iter().find(|option| {
        option["required"] == true && !given.iter().any(|(name, _)| option["name"] == *name)
    });
    match left_out {
        Some(option) => Err(SlashError::WrongOptions(format!(
            "{} is required",
            option["name"]
        ))),
        None => Ok(Value::Array(filled)),
    }
}
