//! Listen: counts what people say in the chats (reactions, replies, votes, answers of providers).

pub mod feedback;
mod poll;
pub(crate) mod reader;
pub mod rollcall;
