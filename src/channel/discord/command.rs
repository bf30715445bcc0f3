//! `/upgrade` with its subcommands: registered once, answered in time.

use std::{sync::Arc, time::Duration};

use serenity::all::{
    Command, CommandDataOptionValue, CommandInteraction, CommandOption, CommandOptionType, CommandType, CreateAllowedMentions,
    CreateCommand, CreateCommandOption, CreateInteractionResponse, CreateInteractionResponseMessage, EditInteractionResponse,
};
use tokio::time::{sleep, timeout};

use super::{Discord, error::code};
use crate::ports::{Asker, Desk, Platform};

const NAME: &str = "upgrade";
const ABOUT: &str = "The runtime upgrade that is under way";

/// A subcommand; each takes one word at most.
struct Subcommand {
    name: &'static str,
    about: &'static str,
    word: Option<Word>,
}

struct Word {
    name: &'static str,
    about: &'static str,
    required: bool,
}

const SUBCOMMANDS: [Subcommand; 3] = [
    Subcommand { name: "status", about: "Where the upgrade stands, and what you must do", word: None },
    Subcommand {
        name: "help",
        about: "What to do about a problem",
        word: Some(Word { name: "topic", about: "The problem; without one, what there is help on", required: false }),
    },
    Subcommand {
        name: "approve",
        about: "For operators: agree to a text before it is posted",
        word: Some(Word { name: "code", about: "The code above the text", required: true }),
    },
];

const TOO_SLOW: &str = "I could not find that out in time. Please try again in a moment.";

/// Discord waits 3 s for a first answer; half of it is left for the way.
const AT_ONCE: Duration = Duration::from_millis(1_500);
/// An interaction can be answered for 15 min.
const LATEST: Duration = Duration::from_secs(600);
const CONTENT_MAX: usize = 2_000;

impl Discord {
    /// Registers the command in the guild unless it is there as it should be. Other commands are left alone.
    pub(super) async fn register(self: Arc<Self>) {
        let result = async {
            let there = self.ask(self.deadline(), || self.http.get_guild_commands(self.guild)).await?;
            if there.iter().any(is_ours) {
                return Ok(());
            }
            let ours = ours();
            self.ask(self.deadline(), || self.http.create_guild_command(self.guild, &ours)).await?;
            tracing::info!("registered /{NAME} on Discord");
            Ok(())
        };
        let trouble = result.await.err().map(|fault: super::error::Fault| {
            let remedy = if fault.is(code::MISSING_ACCESS) { "; invite the bot with the scope applications.commands" } else { "" };
            format!("/{NAME} could not be registered on Discord: {}{remedy}", fault.words())
        });
        if let Some(trouble) = &trouble {
            tracing::warn!("{trouble}");
        }
        self.health.commands(trouble);
    }

    /// Answers a command, to the asker alone: at once if the desk is quick, otherwise later in place of "thinking…".
    pub(super) async fn answer(self: Arc<Self>, desk: Arc<dyn Desk>, command: Box<CommandInteraction>) {
        if command.data.name != NAME || command.guild_id != Some(self.guild) {
            return;
        }
        let words = words(&command);
        let (user, place) = (command.user.id.to_string(), command.channel_id.to_string());
        let asker = Asker { platform: Platform::Discord, user: &user, place: &place };
        let answer = desk.answer(&asker, &words);
        tokio::pin!(answer);
        tokio::select! {
            body = &mut answer => return self.reply(&command, &body.text).await,
            () = sleep(AT_ONCE) => {}
        }
        let thinking = CreateInteractionResponse::Defer(CreateInteractionResponseMessage::new().ephemeral(true));
        if !self.respond(&command, &thinking).await {
            return;
        }
        let text = timeout(LATEST, answer).await.map_or_else(|_| TOO_SLOW.into(), |body| body.text);
        let edit = EditInteractionResponse::new().content(fit(&text)).allowed_mentions(CreateAllowedMentions::new());
        let edited = self.http.edit_original_interaction_response(&command.token, &edit, vec![]);
        if let Err(fault) = self.reply_by(self.deadline(), edited).await {
            tracing::warn!(reason = fault.words(), "a command on Discord was not answered");
        }
    }

    async fn reply(&self, command: &CommandInteraction, text: &str) {
        let message =
            CreateInteractionResponseMessage::new().content(fit(text)).ephemeral(true).allowed_mentions(CreateAllowedMentions::new());
        self.respond(command, &CreateInteractionResponse::Message(message)).await;
    }

    async fn respond(&self, command: &CommandInteraction, response: &CreateInteractionResponse) -> bool {
        let call = self.http.create_interaction_response(command.id, &command.token, response, vec![]);
        let result = self.reply_by(self.deadline(), call).await;
        if let Err(fault) = &result {
            tracing::warn!(reason = fault.words(), "a command on Discord was not answered");
        }
        result.is_ok()
    }
}

/// The subcommand and what was written behind it.
fn words(command: &CommandInteraction) -> Vec<&str> {
    let Some(subcommand) = command.data.options.first() else { return Vec::new() };
    let mut words = vec![subcommand.name.as_str()];
    if let CommandDataOptionValue::SubCommand(options) = &subcommand.value {
        words.extend(options.iter().filter_map(|option| option.value.as_str()).map(str::trim).filter(|word| !word.is_empty()));
    }
    words
}

fn ours() -> CreateCommand {
    let option = |subcommand: &Subcommand| {
        let made = CreateCommandOption::new(CommandOptionType::SubCommand, subcommand.name, subcommand.about);
        match &subcommand.word {
            None => made,
            Some(word) => {
                made.add_sub_option(CreateCommandOption::new(CommandOptionType::String, word.name, word.about).required(word.required))
            }
        }
    };
    let options = SUBCOMMANDS.iter().map(option).collect();
    CreateCommand::new(NAME).kind(CommandType::ChatInput).description(ABOUT).set_options(options)
}

/// Whether a registered command is what `ours` would register.
fn is_ours(command: &Command) -> bool {
    command.kind == CommandType::ChatInput
        && (command.name.as_str(), command.description.as_str()) == (NAME, ABOUT)
        && command.options.len() == SUBCOMMANDS.len()
        && command.options.iter().zip(&SUBCOMMANDS).all(|(there, ours)| is_as(there, ours))
}

fn is_as(there: &CommandOption, ours: &Subcommand) -> bool {
    let word = match (there.options.as_slice(), &ours.word) {
        ([], None) => true,
        ([there], Some(word)) => {
            there.kind == CommandOptionType::String
                && (there.name.as_str(), there.description.as_str(), there.required) == (word.name, word.about, word.required)
        }
        _ => false,
    };
    word && there.kind == CommandOptionType::SubCommand && (there.name.as_str(), there.description.as_str()) == (ours.name, ours.about)
}

/// Cut to Discord's 2,000 characters, at a line's end if there is one.
fn fit(text: &str) -> String {
    if text.chars().count() <= CONTENT_MAX {
        return text.into();
    }
    let head: String = text.chars().take(CONTENT_MAX - 2).collect();
    match head.rsplit_once('\n') {
        Some((lines, _)) if !lines.trim().is_empty() => format!("{lines}\n…"),
        _ => format!("{head}…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_ends_with_a_line() {
        assert_eq!(fit("short"), "short");
        let line = "é".repeat(99);
        let cut = fit(&vec![line.as_str(); 21].join("\n"));
        assert_eq!(cut.chars().count(), 1_901);
        assert!(cut.ends_with("é\n…"), "{cut}");
        assert_eq!(fit(&"x".repeat(3_000)).chars().count(), 1_999);
    }
}
