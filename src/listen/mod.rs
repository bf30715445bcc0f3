//! Listen: counts what people say in the chats (reactions, replies, votes, answers of providers).

pub mod feedback;
pub mod poll;
pub mod rollcall;
