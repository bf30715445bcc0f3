//! Something between herald and its store or chat: a hook that lets a call through, refuses it, or does something while it is
//! under way. `HookedStore` and `HookedChat` ask it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;
use upgrade_herald::{
    domain::outbox::PostKey,
    ports::{Batch, ChatError, Clock},
};

use crate::harness::dice::Dice;

/// A call as a hook sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub name: &'static str,
    /// What a store is to write.
    pub batch: Option<&'a Batch>,
    /// The post that a chat is to send.
    pub key: Option<&'a PostKey>,
}

impl Call<'_> {
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            batch: None,
            key: None,
        }
    }
}

#[async_trait]
pub trait Hook<E>: Send + Sync {
    async fn before(&self, _: &Call<'_>) -> Result<(), E> {
        Ok(())
    }

    /// Runs beside the call, and is given up with its end.
    async fn during(&self, _: &Call<'_>) {
        std::future::pending().await
    }

    async fn after(&self, _: &Call<'_>) -> Result<(), E> {
        Ok(())
    }
}

pub async fn through<T, E>(
    hook: &dyn Hook<E>,
    call: Call<'_>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    hook.before(&call).await?;
    let beside = async {
        hook.during(&call).await;
        std::future::pending::<()>().await
    };
    let done = tokio::select! {
        done = work => done?,
        () = beside => unreachable!("it waits for ever"),
    };
    hook.after(&call).await?;
    Ok(done)
}

/// A chat whose reactions and votes can't be read while it is `deaf`.
#[derive(Default)]
pub struct Deafness {
    pub deaf: AtomicBool,
    /// How often it was asked meanwhile.
    pub asked: AtomicUsize,
}

#[async_trait]
impl Hook<ChatError> for Deafness {
    async fn before(&self, call: &Call<'_>) -> Result<(), ChatError> {
        if self.deaf.load(Ordering::Relaxed) && ["heard", "votes"].contains(&call.name) {
            self.asked.fetch_add(1, Ordering::Relaxed);
            return Err(ChatError::Retry {
                reason: "no answer in time".into(),
                after_ms: None,
            });
        }
        Ok(())
    }
}

/// A connection that breaks before a message is taken or after it, or while the process dies; it keeps what was sent and when.
pub struct FaultyConnection {
    clock: Arc<dyn Clock>,
    /// Without dice nothing breaks.
    pub dice: Mutex<Option<Dice>>,
    /// What becomes of the message that is under way.
    fault: Mutex<Option<u64>>,
    pub sent: Mutex<Vec<(PostKey, Timestamp)>>,
    /// The process dies while it waits for an answer.
    pub dies: Notify,
}

impl FaultyConnection {
    pub fn new(clock: Arc<dyn Clock>, dice: Option<Dice>) -> Self {
        Self {
            clock,
            dice: Mutex::new(dice),
            fault: Mutex::default(),
            sent: Mutex::default(),
            dies: Notify::new(),
        }
    }

    pub fn keys(&self) -> Vec<PostKey> {
        let sent = self.sent.lock().expect("nobody panics with it");
        sent.iter().map(|(key, _)| key.clone()).collect()
    }
}

fn broken(after_ms: Option<u64>) -> ChatError {
    ChatError::Retry {
        reason: "the connection broke".into(),
        after_ms,
    }
}

#[async_trait]
impl Hook<ChatError> for FaultyConnection {
    async fn before(&self, call: &Call<'_>) -> Result<(), ChatError> {
        let Some(key) = call.key else {
            return Ok(());
        };
        let mut dice = self.dice.lock().expect("nobody panics with it");
        let fault = dice.as_mut().map(|dice| dice.roll(12));
        *self.fault.lock().expect("nobody panics with it") = fault;
        if fault == Some(0) {
            return Err(broken(None));
        }
        // The chat knows a key it has; here stands every message, so one that is sent twice shows.
        let mut sent = self.sent.lock().expect("nobody panics with it");
        sent.push((key.clone(), self.clock.now()));
        Ok(())
    }

    async fn after(&self, call: &Call<'_>) -> Result<(), ChatError> {
        let fault = call
            .key
            .and_then(|_| *self.fault.lock().expect("nobody panics with it"));
        match fault {
            Some(1) => Err(broken(Some(120_000))),
            Some(2) => {
                self.dies.notify_one();
                std::future::pending().await
            }
            _ => Ok(()),
        }
    }
}
