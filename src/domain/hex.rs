//! Bytes as chains write them: `0x` and two digits a byte.

pub fn encode(bytes: &[u8]) -> String {
    format!("0x{}", ::hex::encode(bytes))
}

/// `None` without the `0x`, or where something is not a digit.
pub fn decode(hex: &str) -> Option<Vec<u8>> {
    ::hex::decode(hex.strip_prefix("0x")?).ok()
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
