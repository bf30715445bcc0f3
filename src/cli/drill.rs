//! `herald rehearse --drill NAME`

use std::process::ExitCode;

use anyhow::{Result, bail};
use jiff::SignedDuration;

use crate::{
    config::suggest,
    lint::Loaded,
    ports::Readers,
    rehearsal::{DRILLS, Drill, DrillPlayer, DrillResult},
    words::Zone,
};

/// The columns of what people knew, and of what herald says.
const LEFT_COLUMNS: usize = 44;
const RIGHT_COLUMNS: usize = 52;

/// A name of a drill, as the command line has it.
pub(super) fn drill_name(name: &str) -> Result<String, String> {
    let names = || DRILLS.iter().map(|(name, _)| *name);
    if names().any(|known| known == name) {
        Ok(name.to_owned())
    } else {
        Err(suggest(name, names()))
    }
}

/// Plays a drill by the plan that was loaded. Ends with 1 if herald gives a false all-clear, or never says what is so.
pub(super) async fn play(loaded: Loaded, name: &str) -> Result<ExitCode> {
    let Some(drill) = Drill::named(name) else {
        bail!("there is no drill `{name}`");
    };
    let drill = drill.map_err(anyhow::Error::msg)?;
    let zone = loaded.renderer.zone().clone();
    out!("{}\n\n{}", drill.title, drill.made);
    for source in &drill.sources {
        out!("{source}");
    }
    let player = DrillPlayer::new(drill);
    let result = player.play(loaded.config, loaded.renderer).await?;
    out!("\n{}", row("What people knew", "What herald says"));
    out!(
        "{}┼{}",
        "─".repeat(LEFT_COLUMNS + 1),
        "─".repeat(RIGHT_COLUMNS + 1)
    );
    for line in table(&result, &zone) {
        out!("{line}");
    }
    out!("\n{}", verdict(&result));
    let is_fine = result.public.is_some() && result.false_all_clears.is_empty();
    Ok(ExitCode::from(u8::from(!is_fine)))
}

fn table(result: &DrillResult, zone: &Zone) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &result.entries {
        let at = zone.written(entry.at);
        let readers = match entry.readers {
            None => String::new(),
            Some(Readers::Public) => ", to everybody".to_owned(),
            Some(Readers::Operators) => ", to operators".to_owned(),
        };
        let is_known = entry.readers.is_none();
        let columns = if is_known {
            LEFT_COLUMNS
        } else {
            RIGHT_COLUMNS
        };
        let head = std::iter::once(format!("{at}{readers}"));
        for text in head.chain(wrapped(&entry.text, columns)) {
            lines.push(if is_known {
                row(&text, "")
            } else {
                row("", &text)
            });
        }
    }
    lines
}

fn row(left: &str, right: &str) -> String {
    let fill = LEFT_COLUMNS.saturating_sub(left.chars().count());
    format!("{left}{} │ {right}", " ".repeat(fill))
        .trim_end()
        .to_owned()
}

/// Breaks a text at its spaces.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn verdict(result: &DrillResult) -> String {
    let minutes = |after: Option<SignedDuration>| match after {
        Some(after) => format!("after {:.1} minutes", after.as_secs_f64() / 60.0),
        None => "never".to_owned(),
    };
    let false_all_clear = match result.false_all_clears.len() {
        0 => "None was given.".to_owned(),
        n => format!("{n} were given."),
    };
    format!(
        "First true word: to operators {}, to everybody {}. False all-clear: {false_all_clear}",
        minutes(result.operators),
        minutes(result.public),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_two_columns_and_a_text_breaks_at_spaces() {
        assert_eq!(row("", "b"), format!("{} │ b", " ".repeat(LEFT_COLUMNS)));
        assert_eq!(row("a", ""), format!("a{} │", " ".repeat(LEFT_COLUMNS - 1)));
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), [] as [&str; 0]);
    }

    #[test]
    fn every_drill_can_be_read() {
        for (name, _) in DRILLS {
            let drill = Drill::named(name).expect("a name of the list");
            drill.unwrap();
        }
        assert!(drill_name("kusama-2025-05-9").is_err());
    }
}
