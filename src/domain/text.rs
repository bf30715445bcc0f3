//! What people write: whether it says something, and whether it is what it looks like.

/// Tells whether a text says something to people, and not only yes, no or nothing, which some readers of YAML take for a
/// switch and others for words.
pub fn says_something(text: &str) -> bool {
    const SWITCHES: [&str; 17] = [
        "y", "n", "yes", "no", "true", "false", "on", "off", "null", "nil", "none", "na", "nope",
        "not", "nothing", "never", "todo",
    ];
    let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphabetic()).collect() };
    let is_one_word = !text.trim().contains(char::is_whitespace);
    let all = letters(text).to_lowercase();
    let is_switch = is_one_word && SWITCHES.contains(&all.as_str());
    !all.is_empty() && !is_switch
}

/// The characters that nobody sees, and those that turn the order of the ones that are seen. What joins an emoji, and the
/// marks and isolates that texts in Arabic and Hebrew need, are none of them.
pub fn is_deceptive(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x115f | 0x1160 | 0x180e | 0x200b | 0x202a..=0x202e | 0x2060..=0x2065 | 0x206a..=0x206f | 0x2800 | 0x3164 | 0xfeff
        | 0xffa0 | 0xfff9..=0xfffb)
}

/// A text without such characters, and without blanks around it.
pub fn plain(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !is_deceptive(*c)).collect();
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_a_number_and_a_dash_say_nothing() {
        let nothing = [
            "no",
            "Off",
            " FALSE ",
            "~",
            "null",
            "",
            "y",
            "None",
            "0",
            "1",
            "-",
            ".",
            "n/a",
            "(none)",
            "No.",
            "2026-12-20",
            "?!",
        ];
        for text in nothing {
            assert!(!says_something(text), "{text}");
        }
        for text in [
            "no time",
            "a fault",
            "off by one",
            "No. 7",
            "not now",
            "Fehler",
            "第二",
            "CVE-2026-1",
        ] {
            assert!(says_something(text), "{text}");
        }
    }

    #[test]
    fn what_joins_an_emoji_deceives_nobody() {
        let bad = "\u{200b}\u{202e}\u{202d}\u{2800}\u{3164}\u{ad}\u{feff}\u{2060}";
        assert!(bad.chars().all(is_deceptive));
        assert!(
            !"👩\u{200d}🚀⚠\u{fe0f} שלום\u{200f} \u{2068}v1\u{2069} é"
                .chars()
                .any(is_deceptive)
        );
        assert_eq!(plain(" \u{200b}v1.\u{202e}0 \u{3164}"), "v1.0");
    }
}
