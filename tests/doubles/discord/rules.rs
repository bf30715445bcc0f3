//! The rules that the OpenAPI description doesn't hold, by hand.

use serde_json::Value;

use super::{
    clock::{now_ms, parse_iso},
    error::{ApiError, Mistake, empty_message, invalid, invalid_form},
};

const EMBEDS_IN_ALL: usize = 6000;
const COMPONENTS_V2: u64 = 1 << 15;

/// The rules for a message's text, embeds, mentions and nonce; an edit may leave fields out, so its
/// emptiness is judged when it is applied.
pub(super) fn message(body: &Value) -> Result<(), ApiError> {
    let mut mistakes = Vec::new();
    let embeds = list(&body["embeds"]);
    let total: usize = embeds.iter().map(embed_size).sum();
    if total > EMBEDS_IN_ALL {
        mistakes.push(Mistake::new(
            "embeds",
            "MAX_EMBED_SIZE_EXCEEDED",
            format!("Embed size exceeds maximum size of {EMBEDS_IN_ALL}"),
        ));
    }
    for (index, embed) in embeds.iter().enumerate() {
        embed_rules(index, embed, &mut mistakes);
    }
    mentions(&body["allowed_mentions"], &mut mistakes);
    if body["nonce"].as_str().is_some_and(str::is_empty) && body["enforce_nonce"] == true {
        let message = "A nonce is needed to enforce it";
        mistakes.push(Mistake::new("nonce", "BASE_TYPE_REQUIRED", message));
    }
    let flags = body["flags"].as_u64().unwrap_or(0);
    let has_text = body["content"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    if flags & COMPONENTS_V2 != 0 && (has_text || !embeds.is_empty()) {
        mistakes.push(Mistake::new(
            "flags",
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
            "The 'content' and 'embeds' fields cannot be used with MessageFlags.IS_COMPONENTS_V2",
        ));
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(invalid_form(&mistakes))
    }
}

/// A new message needs something in it.
pub(super) fn not_empty(body: &Value) -> Result<(), ApiError> {
    let text = body["content"].as_str().unwrap_or_default();
    let filled = |name: &str| !list(&body[name]).is_empty();
    let full = !text.trim().is_empty()
        || ["embeds", "components", "sticker_ids", "attachments"]
            .into_iter()
            .any(filled)
        || body["poll"].is_object();
    if full {
        Ok(())
    } else {
        Err(empty_message().blame())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn embed_size(embed: &Value) -> usize {
    let fields = list(&embed["fields"]).iter();
    chars(&embed["title"])
        + chars(&embed["description"])
        + chars(&embed["footer"]["text"])
        + chars(&embed["author"]["name"])
        + fields
            .map(|field| chars(&field["name"]) + chars(&field["value"]))
            .sum::<usize>()
}

fn embed_rules(index: usize, embed: &Value, mistakes: &mut Vec<Mistake>) {
    let mut add = |path: &str, code, message: &str| {
        mistakes.push(Mistake::new(
            &format!("embeds.{index}{path}"),
            code,
            message,
        ));
    };
    let shown = [
        "title",
        "description",
        "image",
        "thumbnail",
        "footer",
        "author",
        "url",
    ]
    .iter()
    .any(|part| !embed[part].is_null() && embed[part] != "")
        || !list(&embed["fields"]).is_empty();
    if !shown {
        let message = "This field is required";
        add(".description", "BASE_TYPE_REQUIRED", message);
    }
    for (at, field) in list(&embed["fields"]).iter().enumerate() {
        for part in ["name", "value"] {
            if field[part].as_str().unwrap_or_default().trim().is_empty() {
                let path = format!(".fields.{at}.{part}");
                add(&path, "BASE_TYPE_REQUIRED", "This field is required");
            }
        }
    }
    let links = [
        (".url", &embed["url"]),
        (".author.url", &embed["author"]["url"]),
        (".image.url", &embed["image"]["url"]),
        (".thumbnail.url", &embed["thumbnail"]["url"]),
        (".footer.icon_url", &embed["footer"]["icon_url"]),
    ];
    for (path, link) in links {
        let schemes = ["http://", "https://", "attachment://"];
        if let Some(link) = link.as_str()
            && !schemes.iter().any(|scheme| link.starts_with(scheme))
        {
            let message = "Scheme must be one of ('http', 'https').";
            add(path, "URL_TYPE_INVALID_SCHEME", message);
        }
    }
}

fn mentions(allowed: &Value, mistakes: &mut Vec<Mistake>) {
    for kind in ["users", "roles"] {
        let parsed = list(&allowed["parse"]).iter().any(|name| name == kind);
        if parsed && !list(&allowed[kind]).is_empty() {
            mistakes.push(Mistake::new(
                "allowed_mentions",
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                format!("parse:[\"{kind}\"] and {kind}: [ids...] are mutually exclusive."),
            ));
        }
    }
}

/// The rules for a command's names and its options' order.
pub(super) fn command(command: &Value, at: &str) -> Result<(), ApiError> {
    let mut mistakes = Vec::new();
    let kind = command["type"].as_u64().unwrap_or(1);
    if kind == 1 {
        if chars(&command["description"]) == 0 {
            mistakes.push(required(&format!("{at}description")));
        }
        name(&command["name"], &format!("{at}name"), &mut mistakes);
        options(&command["options"], at, &mut mistakes);
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(invalid_form(&mistakes))
    }
}

fn required(path: &str) -> Mistake {
    Mistake::new(path, "BASE_TYPE_REQUIRED", "This field is required")
}

// `^[-_'\p{L}\p{N}...]{1,32}$`, in lower case where there is one.
fn name(value: &Value, path: &str, mistakes: &mut Vec<Mistake>) {
    let text = value.as_str().unwrap_or_default();
    let fine = |c: char| {
        (c.is_alphanumeric() || matches!(c, '-' | '_' | '\'')) && c.to_lowercase().eq([c])
    };
    if text.is_empty() || !text.chars().all(fine) {
        mistakes.push(Mistake::new(
            path,
            "APPLICATION_COMMAND_INVALID_NAME",
            "Command name is invalid",
        ));
    }
}

fn options(value: &Value, at: &str, mistakes: &mut Vec<Mistake>) {
    let mut optional_seen = false;
    let mut names = Vec::new();
    for (index, option) in list(value).iter().enumerate() {
        let here = format!("{at}options.{index}.");
        name(&option["name"], &format!("{here}name"), mistakes);
        if chars(&option["description"]) == 0 {
            mistakes.push(required(&format!("{here}description")));
        }
        if names.contains(&&option["name"]) {
            let message = "Option names must be unique";
            let code = "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS";
            mistakes.push(Mistake::new(&format!("{here}name"), code, message));
        }
        names.push(&option["name"]);
        if option["required"] == true && optional_seen {
            let message = "Required options must be placed before non-required options";
            let code = "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID";
            mistakes.push(Mistake::new(&format!("{at}options.{index}"), code, message));
        }
        // 1 and 2 are subcommands and groups of them, which aren't optional or required.
        optional_seen |= option["required"] != true && option["type"].as_u64() > Some(2);
        options(&option["options"], &here, mistakes);
    }
}

/// An end that is given is to come.
pub(super) fn event_end(body: &Value) -> Result<(), ApiError> {
    let end = body["scheduled_end_time"].as_str().and_then(parse_iso);
    match end {
        Some(end) if end <= now_ms() as i64 => Err(invalid(
            "scheduled_end_time",
            "GUILD_SCHEDULED_EVENT_SCHEDULE_PAST",
            "Cannot schedule event in the past.",
        )),
        _ => Ok(()),
    }
}

/// The rules for a scheduled event, given as it would be after the change.
pub(super) fn event(event: &Value, moved: bool) -> Result<(), ApiError> {
    let time = |name: &str| event[name].as_str().map(|text| (text, parse_iso(text)));
    let Some((_, Some(start))) = time("scheduled_start_time") else {
        return Err(invalid(
            "scheduled_start_time",
            "DATE_TIME_TYPE_PARSE",
            "Could not parse the time. Should be ISO8601.",
        ));
    };
    if moved && start <= now_ms() as i64 {
        return Err(invalid(
            "scheduled_start_time",
            "GUILD_SCHEDULED_EVENT_SCHEDULE_PAST",
            "Cannot schedule event in the past.",
        ));
    }
    let end = time("scheduled_end_time");
    match end {
        Some((text, None)) => {
            return Err(invalid(
                "scheduled_end_time",
                "DATE_TIME_TYPE_PARSE",
                &format!("Could not parse {text}. Should be ISO8601."),
            ));
        }
        Some((_, Some(end))) if end <= start => {
            return Err(invalid(
                "scheduled_end_time",
                "GUILD_SCHEDULED_EVENT_END_TIME_BEFORE_START_TIME",
                "End time must be after the start time.",
            ));
        }
        _ => {}
    }
    if event["entity_type"] == 3 {
        if end.is_none() {
            return Err(invalid_form(&[required("scheduled_end_time")]));
        }
        if chars(&event["entity_metadata"]["location"]) == 0 {
            return Err(invalid_form(&[required("entity_metadata.location")]));
        }
    }
    if event["name"].as_str().unwrap_or_default().trim().is_empty() {
        return Err(invalid_form(&[required("name")]));
    }
    Ok(())
}
