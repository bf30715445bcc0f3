//! One Markdown source a notice, made into what each platform shows best.
//!
//! template (Handlebars), in the channel's language where it has a translation → Markdown with time
//! marks → Discord's Markdown, or Matrix's HTML and plain text. Values are escaped as Markdown on their
//! way in, so nothing that comes from a file, a chain or a chat can format, link or mention.

mod check;
mod discord;
mod engine;
mod guard;
mod laid;
mod matrix;
mod times;

pub use engine::{Renderer, Text, escape};
pub use guard::Unguarded;
/// What the words are made from.
pub use handlebars::Context;
pub use times::{Zone, distance, length_words};

#[cfg(test)]
mod tests;
