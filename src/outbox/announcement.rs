//! From a notice to its rows.

use jiff::Timestamp;

use crate::domain::{
    outbox::{KeyParts, Operation, Post},
    plan::notice::Notice,
};

/// A notice that is to be said on one occasion.
#[derive(Clone, Copy, Debug)]
pub struct Announcement<'a> {
    pub upgrade: &'a str,
    pub revision: u32,
    pub notice: &'a Notice,
    /// The notice's place in its plan.
    pub index: usize,
    pub occurrence: &'a str,
    pub due: Timestamp,
}

impl Announcement<'_> {
    /// One post for each channel of the notice, each with its companions behind it: a thread where feedback is asked for,
    /// and whatever else the plan wants done to it.
    pub fn posts(&self) -> Vec<Post> {
        let mut posts = Vec::new();
        for channel in &self.notice.channels {
            let parts = KeyParts {
                upgrade: self.upgrade,
                revision: self.revision,
                notice: &self.notice.id,
                occurrence: self.occurrence,
                channel,
                operation: Operation::Post,
                edition: 0,
            };
            let post = Post::planned(parts, self.index, self.due);
            let notice = self.notice;
            let companions = [
                (notice.feedback, Operation::Thread),
                (notice.published.contains(channel), Operation::Publish),
                (notice.board, Operation::Pin),
                (notice.calendar.as_ref() == Some(channel), Operation::Event),
            ];
            let companions: Vec<Post> = companions
                .into_iter()
                .filter(|(wanted, _)| *wanted)
                .map(|(_, operation)| post.beside(operation, 0))
                .collect();
            posts.push(post);
            posts.extend(companions);
        }
        posts
    }
}
