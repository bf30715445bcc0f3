//! Bytes as chains write them: `0x` and two digits a byte.

pub fn encode(bytes: &[u8]) -> String {
    format!(
        "0x{}",
        bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
    )
}

/// `None` without the `0x`, or where something is not a digit.
pub fn decode(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.strip_prefix("0x")?;
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_and_nothing_else() {
        assert_eq!(decode(&encode(&[0, 10, 255])), Some(vec![0, 10, 255]));
        for wrong in ["00", "0x0", "0xzz", "0x€€"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
