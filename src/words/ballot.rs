//! A ballot is a vote in a platform's own form: the question and its choices.

use super::context;
use crate::{
    config::Config,
    domain::{
        campaign::Campaign,
        outbox::{Ballot, Post, occurrence_of},
    },
    words::templates,
};

pub fn has_words(config: &Config) -> bool {
    config.templates.contains_key(templates::BALLOT)
}

/// Reads a ballot from these words.
pub fn ballot(text: &str, windows: usize) -> Result<Ballot, String> {
    let mut lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches(['-', '•', '*', ' ']))
        .filter(|line| !line.is_empty());
    let question = lines.next().unwrap_or_default().to_owned();
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.len() != windows || windows == 0 {
        return Err(format!(
            "`{}` needs a line for the question and one for each of {windows} windows, but has {} below it",
            templates::BALLOT,
            lines.len()
        ));
    }
    Ok(Ballot {
        question,
        choices: context::NUMBER_EMOJI
            .into_iter()
            .map(str::to_owned)
            .zip(lines)
            .collect(),
    })
}

/// True if the post proposes the windows as they are now, and the votes are not counted yet.
pub fn is_open(campaign: &Campaign, post: &Post) -> bool {
    campaign.votes_due().is_some() && post.occurrence == occurrence_of(campaign.revision, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_has_a_question_and_a_line_for_each_window() {
        let text = "When?\n\n- 1️⃣ Monday\n• 2️⃣ Tuesday\n";
        let made = ballot(text, 2).unwrap();
        assert_eq!(
            (
                made.question.as_str(),
                made.choices[1].0.as_str(),
                made.choices[1].1.as_str()
            ),
            ("When?", "2️⃣", "2️⃣ Tuesday")
        );
        for (text, windows) in [(text, 3), (text, 1), ("When?", 0), ("", 1)] {
            assert!(
                ballot(text, windows)
                    .unwrap_err()
                    .contains("a line for the question"),
                "{text} {windows}"
            );
        }
    }
}
