//! A due post, with everything that is decided and said of it from.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    domain::{
        campaign::Campaign,
        outbox::Post,
        plan::notice::{Happening, Notice, Trigger},
    },
    outbox::Core,
    ports::{Outlet, StoreError},
    words::snapshot::ConfigSnapshot,
};

/// One set of files, one state of the upgrade and one look at the clock, for all steps of one post.
pub(crate) struct DuePost<'a> {
    pub core: &'a Core,
    pub outlet: &'a Outlet,
    pub post: Post,
    pub campaign: Option<Campaign>,
    pub snapshot: Arc<ConfigSnapshot>,
    pub now: Timestamp,
}

impl<'a> DuePost<'a> {
    pub async fn read(core: &'a Core, outlet: &'a Outlet, post: Post) -> Result<Self, StoreError> {
        Ok(Self {
            now: core.clock.now(),
            snapshot: core.snapshot(),
            campaign: core.campaign(&post.upgrade).await?,
            core,
            outlet,
            post,
        })
    }

    /// The post's notice, if the plan still has it.
    pub fn notice(&self) -> Option<&Notice> {
        let urgency = self.campaign.as_ref()?.upgrade.urgency;
        self.snapshot.plan().notice(urgency, &self.post.notice)
    }

    /// Returns whether its notice is the status board.
    pub fn is_on_board(&self) -> bool {
        self.notice().is_some_and(|notice| notice.board)
    }

    /// Returns whether its loss is no fault: what has lost its sense without its post, and a reminder of nobody.
    pub fn is_optional(&self) -> bool {
        let reminds = |notice: &Notice| {
            matches!(
                notice.trigger,
                Trigger::On(Happening::Unacknowledged | Happening::Unready)
            )
        };
        self.post.operation.rules().is_optional || self.notice().is_some_and(reminds)
    }
}

/// The reason why there are no words.
pub(crate) enum Unsayable {
    Because(String),
    Store(StoreError),
}

impl From<String> for Unsayable {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

impl From<&str> for Unsayable {
    fn from(reason: &str) -> Self {
        Self::Because(reason.to_owned())
    }
}

impl From<StoreError> for Unsayable {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
