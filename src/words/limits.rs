//! Limits on the length of texts.

/// The longest message that Discord takes, in characters.
pub const MAX_DISCORD_CHARS: usize = 2_000;
/// The longest text of a Matrix message, plain and formatted together, in bytes: an event holds 65,536, and its envelope
/// needs the rest.
pub const MAX_MATRIX_BYTES: usize = 60_000;
/// The longest detail of a post, in characters.
pub const MAX_DETAIL_CHARS: usize = 240;
