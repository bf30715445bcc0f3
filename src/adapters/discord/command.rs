//! `/upgrade` with its subcommands: registered once, answered in time.

use std::{sync::Arc, time::Duration};

use serenity::all::{
    ActionRowComponent, ButtonStyle, ChannelId, Command as RegisteredCommand, CommandDataOption,
    CommandDataOptionValue, CommandInteraction, CommandOption, CommandOptionType, CommandType,
    ComponentInteraction, CreateActionRow, CreateAllowedMentions, CreateAutocompleteResponse,
    CreateButton, CreateCommand, CreateCommandOption, CreateInputText, CreateInteractionResponse,
    CreateInteractionResponseFollowup, CreateInteractionResponseMessage, CreateModal,
    EditInteractionResponse, InputTextStyle, InteractionId, Member, ModalInteraction,
    PartialChannel, UserId,
};
use serenity::http::Route;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    Discord,
    error::{DiscordFault, code},
    read,
};
use crate::{
    domain::{
        outbox::{Body, Button},
        people::command::{Command, Kind, Misread, Part, Verb},
    },
    ports::{Admission, Asker, CommandHandler, Platform},
};

const COMMAND_NAME: &str = "upgrade";
const COMMAND_ABOUT: &str = "The runtime upgrade that is under way";

const TOO_SLOW: &str = "I could not find that out in time. Please try again in a moment.";

const TOO_MANY: &str = "That is a lot at once. Please wait a moment.";

/// The pauses between two tries of registering the command.
const FIRST_REGISTER_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_REGISTER_PAUSE: Duration = Duration::from_secs(300);
/// Discord waits 3 s for a first answer; half of it is left for the way.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
/// An interaction can be answered for 15 min.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);
const MAX_CONTENT_CHARS: usize = 2_000;
/// Messages of one answer.
const MAX_MESSAGES: usize = 5;
/// Proposals that Discord shows, and how long each may be.
const MAX_CHOICES: usize = 25;
const MAX_CHOICE_CHARS: usize = 100;
/// Buttons of a row, rows of a message, and characters of a button's words and id.
const MAX_BUTTONS_IN_ROW: usize = 5;
const MAX_ROWS: usize = 5;
const MAX_BUTTON_CHARS: usize = 80;
const MAX_BUTTON_ID_CHARS: usize = 100;
/// Characters of a window's title, and of the words above what is asked for.
const MAX_MODAL_TITLE_CHARS: usize = 45;
const MAX_INPUT_LABEL_CHARS: usize = 45;

impl Discord {
    /// Registers the command in the guild, and tries until that is done or herald stops; [`trouble`] says so meanwhile.
    ///
    /// [`trouble`]: crate::ports::Chat::trouble
    pub(super) async fn register(self: Arc<Self>, stop: CancellationToken) {
        // Every new session asks for it, and one that tries is enough.
        let Ok(_registering) = self.registering.try_lock() else {
            return;
        };
        let mut pause = FIRST_REGISTER_PAUSE;
        loop {
            let Err(fault) = self.register_once().await else {
                return self.health.commands(None);
            };
            let remedy = if fault.is(code::MISSING_ACCESS) {
                "; invite the bot with the scope applications.commands"
            } else {
                ""
            };
            let trouble = format!(
                "/{COMMAND_NAME} could not be registered on Discord and is tried again: {}{remedy}",
                fault.words()
            );
            tracing::warn!(wait_s = pause.as_secs(), "{trouble}");
            self.health.commands(Some(trouble));
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_REGISTER_PAUSE);
        }
    }

    /// Registers the command unless it is there as it should be. Other commands are left alone.
    async fn register_once(&self) -> Result<(), DiscordFault> {
        let route = Route::GuildCommands {
            application_id: self.application,
            guild_id: self.guild,
        };
        let there = read::entries(self, self.deadline(), route, Vec::new()).await?;
        let there: Vec<RegisteredCommand> = read::readable(self, "reading the commands", there);
        if there.iter().any(is_ours) {
            return Ok(());
        }
        let ours = ours();
        let made = self
            .ask(self.deadline(), || {
                self.http.create_guild_command(self.guild, &ours)
            })
            .await;
        if let Err(fault) = made
            && !matches!(fault, DiscordFault::Unreadable { .. })
        {
            return Err(fault);
        }
        tracing::info!("registered /{COMMAND_NAME} on Discord");
        Ok(())
    }

    /// Answers a command, to the asker alone: at once if that is quick, otherwise later in place of "thinking…".
    pub(super) async fn answer(
        self: Arc<Self>,
        handler: Arc<dyn CommandHandler>,
        command: Box<CommandInteraction>,
    ) {
        if command.data.name != COMMAND_NAME || command.guild_id != Some(self.guild) {
            return;
        }
        self.carry_out(
            &*handler,
            &Invoker::gives(&command),
            &read(&command),
            InteractionRef {
                id: command.id,
                token: &command.token,
            },
        )
        .await;
    }

    /// A button of ours is a command that is given by a press; what it needs besides is asked for.
    pub(super) async fn pressed(
        self: Arc<Self>,
        handler: Arc<dyn CommandHandler>,
        button: Box<ComponentInteraction>,
    ) {
        let line = line(&button.data.custom_id);
        let Some(line) = line.filter(|_| button.guild_id == Some(self.guild)) else {
            return;
        };
        let who = Invoker::of(
            button.user.id,
            (button.channel_id, button.channel.as_ref()),
            button.member.as_ref(),
        );
        let call = InteractionRef {
            id: button.id,
            token: &button.token,
        };
        match Command::from_line(line) {
            Err(Misread::Missing {
                verb,
                part:
                    part @ Part {
                        kind: Kind::Words(most),
                        ..
                    },
            }) => {
                let by = Instant::now() + FIRST_ANSWER_WITHIN;
                if self.is_admitted(&*handler, &who.asker(), call, by).await {
                    let window = asks(&button.data.custom_id, verb, &part, most);
                    self.respond(call, &window).await;
                }
            }
            command => self.carry_out(&*handler, &who, &command, call).await,
        }
    }

    /// Answers a command whose words were written into a window that a press has opened.
    pub(super) async fn written(
        self: Arc<Self>,
        handler: Arc<dyn CommandHandler>,
        modal: Box<ModalInteraction>,
    ) {
        let line = line(&modal.data.custom_id);
        let Some(line) = line.filter(|_| modal.guild_id == Some(self.guild)) else {
            return;
        };
        let inputs = modal
            .data
            .components
            .iter()
            .flat_map(|row| &row.components)
            .filter_map(|component| match component {
                ActionRowComponent::InputText(input) => {
                    Some((input.custom_id.as_str(), input.value.as_deref()?))
                }
                _ => None,
            });
        let command = Command::completed(line, inputs);
        let who = Invoker::of(
            modal.user.id,
            (modal.channel_id, modal.channel.as_ref()),
            modal.member.as_ref(),
        );
        self.carry_out(
            &*handler,
            &who,
            &command,
            InteractionRef {
                id: modal.id,
                token: &modal.token,
            },
        )
        .await;
    }

    async fn carry_out(
        &self,
        handler: &dyn CommandHandler,
        who: &Invoker,
        command: &Result<Command, Misread>,
        call: InteractionRef<'_>,
    ) {
        let asker = who.asker();
        let by = Instant::now() + FIRST_ANSWER_WITHIN;
        if !self.is_admitted(handler, &asker, call, by).await {
            return;
        }
        let answer = handler.answer(&asker, command);
        tokio::pin!(answer);
        tokio::select! {
            body = &mut answer => return self.reply(call, &body).await,
            () = sleep_until(by) => {}
        }
        let thinking = CreateInteractionResponse::Defer(
            CreateInteractionResponseMessage::new().ephemeral(true),
        );
        if !self.respond(call, &thinking).await {
            return;
        }
        let body = timeout(ANSWER_WITHIN, answer)
            .await
            .unwrap_or_else(|_| saying(TOO_SLOW));
        self.replace_thinking(call, &body).await;
    }

    /// Returns whether an interaction is to be acted on: Discord may deliver one twice, and of a second delivery nothing
    /// comes, for the first has the answer. Who is not listened to, or can't be now, is told so here.
    async fn is_admitted(
        &self,
        handler: &dyn CommandHandler,
        asker: &Asker<'_>,
        call: InteractionRef<'_>,
        by: Instant,
    ) -> bool {
        // Somebody who gives a thousand commands does not have them all written down.
        let admission = handler.admit(asker);
        if admission == Admission::Closed {
            return false;
        }
        let id = format!("discord {}", call.id);
        let refusal = match timeout_at(by, handler.first_time(&id)).await {
            Ok(Ok(false)) => return false,
            Ok(Ok(true)) if admission == Admission::Open => return true,
            Ok(Ok(true)) => TOO_MANY,
            Ok(Err(_)) | Err(_) => TOO_SLOW,
        };
        self.reply(call, &saying(refusal)).await;
        false
    }

    /// Puts an answer in the place of "thinking…".
    async fn replace_thinking(&self, call: InteractionRef<'_>, body: &Body) {
        let parts = parts(&body.text);
        let (first, rest) = parts
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let buttons = if rest.is_empty() {
            rows(body)
        } else {
            Vec::new()
        };
        let edit = EditInteractionResponse::new()
            .content(first)
            .components(buttons)
            .allowed_mentions(CreateAllowedMentions::new());
        let edited = self
            .http
            .edit_original_interaction_response(call.token, &edit, vec![]);
        if let Err(fault) = self.reply_by(self.deadline(), edited).await {
            tracing::warn!(
                reason = fault.words(),
                "a command on Discord was not answered"
            );
            return;
        }
        self.go_on(call, rest, body).await;
    }

    /// Proposes what may be meant by what was typed so far.
    pub(super) async fn propose(
        self: Arc<Self>,
        handler: Arc<dyn CommandHandler>,
        command: Box<CommandInteraction>,
    ) {
        if command.data.name != COMMAND_NAME || command.guild_id != Some(self.guild) {
            return;
        }
        let Some((verb, focus)) = subcommand(&command)
            .and_then(|(name, _)| Some((Verb::by_name(name)?, command.data.autocomplete()?)))
        else {
            return;
        };
        let who = Invoker::gives(&command);
        let choices = handler
            .choices(&who.asker(), verb, focus.name, focus.value)
            .await;
        let fits = |choice: &String| (1..=MAX_CHOICE_CHARS).contains(&choice.chars().count());
        let made = choices
            .into_iter()
            .filter(fits)
            .take(MAX_CHOICES)
            .fold(CreateAutocompleteResponse::new(), |made, choice| {
                made.add_string_choice(choice.clone(), choice)
            });
        let response = CreateInteractionResponse::Autocomplete(made);
        let call =
            self.http
                .create_interaction_response(command.id, &command.token, &response, vec![]);
        if let Err(fault) = self.reply_by(self.deadline(), call).await {
            tracing::debug!(reason = fault.words(), "nothing was proposed on Discord");
        }
    }

    async fn reply(&self, call: InteractionRef<'_>, body: &Body) {
        let parts = parts(&body.text);
        let (first, rest) = parts
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let message = CreateInteractionResponseMessage::new()
            .content(first)
            .components(if rest.is_empty() {
                rows(body)
            } else {
                Vec::new()
            })
            .ephemeral(true)
            .allowed_mentions(CreateAllowedMentions::new());
        if self
            .respond(call, &CreateInteractionResponse::Message(message))
            .await
        {
            self.go_on(call, rest, body).await;
        }
    }

    /// The rest of an answer that is longer than a message, to the asker alone; its buttons stand below the last part.
    async fn go_on(&self, call: InteractionRef<'_>, rest: &[String], body: &Body) {
        for (i, part) in rest.iter().enumerate() {
            let message = CreateInteractionResponseFollowup::new()
                .content(part)
                .components(if i + 1 == rest.len() {
                    rows(body)
                } else {
                    Vec::new()
                })
                .ephemeral(true)
                .allowed_mentions(CreateAllowedMentions::new());
            let said = self
                .http
                .create_followup_message(call.token, &message, vec![]);
            if let Err(fault) = self.reply_by(self.deadline(), said).await {
                tracing::warn!(reason = fault.words(), "an answer on Discord breaks off");
                return;
            }
        }
    }

    async fn respond(
        &self,
        call: InteractionRef<'_>,
        response: &CreateInteractionResponse,
    ) -> bool {
        let made = self
            .http
            .create_interaction_response(call.id, call.token, response, vec![]);
        let result = self.reply_by(self.deadline(), made).await;
        if let Err(fault) = &result {
            tracing::warn!(
                reason = fault.words(),
                "a command on Discord was not answered"
            );
        }
        result.is_ok()
    }
}

/// The interaction that an answer belongs to.
#[derive(Clone, Copy)]
struct InteractionRef<'a> {
    id: InteractionId,
    token: &'a str,
}

fn saying(text: &str) -> Body {
    Body {
        text: text.into(),
        ..Body::default()
    }
}

/// Buttons, in rows as Discord takes them.
pub(super) fn rows(body: &Body) -> Vec<CreateActionRow> {
    let button = |b: &Button| {
        CreateButton::new(cut(
            &format!("{COMMAND_NAME} {}", b.line),
            MAX_BUTTON_ID_CHARS,
        ))
        .label(cut(&b.label, MAX_BUTTON_CHARS))
        .style(ButtonStyle::Secondary)
    };
    body.buttons
        .chunks(MAX_BUTTONS_IN_ROW)
        .take(MAX_ROWS)
        .map(|row| CreateActionRow::Buttons(row.iter().map(button).collect()))
        .collect()
}

/// The command in the id of a button or window of ours.
fn line(id: &str) -> Option<&str> {
    id.strip_prefix(COMMAND_NAME)
        .and_then(|rest| rest.strip_prefix(' '))
}

/// The window that asks for the words of a command.
fn asks(id: &str, verb: Verb, part: &Part, most: usize) -> CreateInteractionResponse {
    let input = CreateInputText::new(
        InputTextStyle::Paragraph,
        cut(part.about, MAX_INPUT_LABEL_CHARS),
        part.name,
    )
    .max_length(u16::try_from(most).unwrap_or(u16::MAX))
    .required(true);
    let title = cut(verb.about(), MAX_MODAL_TITLE_CHARS);
    CreateInteractionResponse::Modal(
        CreateModal::new(id, title).components(vec![CreateActionRow::InputText(input)]),
    )
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A person who gives a command, in what herald needs of them.
struct Invoker {
    user: String,
    place: String,
    roles: Vec<String>,
}

impl Invoker {
    fn gives(command: &CommandInteraction) -> Self {
        Self::of(
            command.user.id,
            (command.channel_id, command.channel.as_ref()),
            command.member.as_deref(),
        )
    }

    /// A command in a thread is one in the channel that the thread belongs to.
    fn of(
        user: UserId,
        (place, channel): (ChannelId, Option<&PartialChannel>),
        member: Option<&Member>,
    ) -> Self {
        let place = channel
            .filter(|c| c.thread_metadata.is_some())
            .and_then(|c| c.parent_id)
            .unwrap_or(place);
        let roles = member
            .into_iter()
            .flat_map(|m| &m.roles)
            .map(ToString::to_string)
            .collect();
        Self {
            user: user.to_string(),
            place: place.to_string(),
            roles,
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            roles: &self.roles,
            ..Asker::new(Platform::Discord, &self.user, &self.place)
        }
    }
}

fn subcommand(command: &CommandInteraction) -> Option<(&str, &[CommandDataOption])> {
    let subcommand = command.data.options.first()?;
    match &subcommand.value {
        CommandDataOptionValue::SubCommand(options) => Some((&subcommand.name, options)),
        _ => Some((&subcommand.name, &[])),
    }
}

fn read(command: &CommandInteraction) -> Result<Command, Misread> {
    let Some((name, options)) = subcommand(command) else {
        return Command::from_options(Verb::Status.name(), []);
    };
    Command::from_options(
        name,
        options
            .iter()
            .filter_map(|option| Some((option.name.as_str(), option.value.as_str()?))),
    )
}

fn ours() -> CreateCommand {
    let part = |part: &Part| {
        let made = CreateCommandOption::new(CommandOptionType::String, part.name, part.about)
            .required(part.required);
        let made = if part.kind.has_choices() {
            made.set_autocomplete(true)
        } else {
            made
        };
        match part.kind {
            Kind::Words(most) => made.max_length(u16::try_from(most).unwrap_or(u16::MAX)),
            _ => made,
        }
    };
    let verb = |verb: Verb| {
        let made =
            CreateCommandOption::new(CommandOptionType::SubCommand, verb.name(), verb.about());
        verb.parts()
            .iter()
            .fold(made, |made, p| made.add_sub_option(part(p)))
    };
    let options = Verb::ALL.iter().copied().map(verb).collect();
    CreateCommand::new(COMMAND_NAME)
        .kind(CommandType::ChatInput)
        .description(COMMAND_ABOUT)
        .set_options(options)
}

/// Returns whether a registered command is what `ours` would register.
fn is_ours(command: &RegisteredCommand) -> bool {
    command.kind == CommandType::ChatInput
        && (command.name.as_str(), command.description.as_str()) == (COMMAND_NAME, COMMAND_ABOUT)
        && command.options.len() == Verb::ALL.len()
        && command
            .options
            .iter()
            .zip(Verb::ALL)
            .all(|(there, verb)| is_as(there, *verb))
}

fn is_as(there: &CommandOption, verb: Verb) -> bool {
    let is_part = |(there, part): (&CommandOption, &Part)| {
        let most = if let Kind::Words(most) = part.kind {
            u16::try_from(most).ok()
        } else {
            None
        };
        there.kind == CommandOptionType::String
            && (
                there.name.as_str(),
                there.description.as_str(),
                there.required,
            ) == (part.name, part.about, part.required)
            && (there.autocomplete, there.max_length) == (part.kind.has_choices(), most)
    };
    there.kind == CommandOptionType::SubCommand
        && (there.name.as_str(), there.description.as_str()) == (verb.name(), verb.about())
        && there.options.len() == verb.parts().len()
        && there.options.iter().zip(verb.parts()).all(is_part)
}

/// In parts of Discord's 2,000 characters, each ending with a paragraph, or else with a line, where there is one. What is
/// longer than all the parts ends with a mark.
fn parts(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() || parts.is_empty() {
        if rest.chars().count() <= MAX_CONTENT_CHARS {
            parts.push(rest.to_owned());
            return parts;
        }
        let most = MAX_CONTENT_CHARS - 2;
        let end = rest
            .char_indices()
            .nth(most)
            .map_or(rest.len(), |(at, _)| at);
        let (head, _) = rest.split_at(end);
        // A paragraph's end that leaves most of the part empty is none to break at.
        let at = head
            .rfind("\n\n")
            .filter(|at| *at > end / 2)
            .or_else(|| head.rfind('\n').filter(|at| *at > 0))
            .unwrap_or(end);
        let (part, after) = rest.split_at(at);
        if parts.len() + 1 == MAX_MESSAGES {
            parts.push(format!("{part}\n…"));
            return parts;
        }
        parts.push(part.to_owned());
        rest = after.trim_start_matches('\n');
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_comes_in_parts_that_end_with_a_line() {
        assert_eq!(parts("short"), ["short"]);
        assert_eq!(parts(""), [""]);
        let line = "é".repeat(99);
        let lines = vec![line.as_str(); 50].join("\n");
        let in_parts = parts(&lines);
        assert_eq!((in_parts.len(), in_parts.join("\n")), (3, lines));
        assert!(
            in_parts
                .iter()
                .all(|p| p.chars().count() <= MAX_CONTENT_CHARS && p.ends_with('é'))
        );
        let paragraph = format!("{}\n{}", "a".repeat(600), "b".repeat(600));
        let in_parts = parts(&[paragraph.as_str(); 3].join("\n\n"));
        assert!(
            in_parts.iter().all(|p| *p == paragraph),
            "paragraphs stay together: {in_parts:?}"
        );
        let endless = parts(&"x".repeat(30_000));
        assert_eq!(endless.len(), MAX_MESSAGES);
        assert!(
            endless
                .iter()
                .all(|p| p.chars().count() <= MAX_CONTENT_CHARS)
                && endless[MAX_MESSAGES - 1].ends_with('…')
        );
    }
}
