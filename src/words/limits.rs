//! Limits on the length of texts.

/// The longest detail of a post, in characters.
pub const MAX_DETAIL_CHARS: usize = 240;
