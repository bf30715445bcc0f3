//! The bot as an operator runs it: the real binary, a process of its own.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};

use super::{leash::Leash, tail, wait, with_tail};

/// A `herald` to be, then running, then ended. It may be started again after its end.
///
/// Dropped it prints the end of its stderr, which the test runner shows when the test has failed.
pub struct Herald {
    command: Command,
    dir: PathBuf,
    process: Option<Leash>,
}

impl Herald {
    /// `bin` is `env!("CARGO_BIN_EXE_herald").into()`; `dir` becomes the working folder and receives `herald.stdout` and
    /// `herald.stderr`, which grow over restarts.
    pub fn new(bin: PathBuf, dir: &Path) -> Self {
        let mut command = Command::new(bin);
        command.current_dir(dir);
        Self {
            command,
            dir: dir.into(),
            process: None,
        }
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            bail!("herald runs already");
        }
        self.process = Some(Leash::start(
            &self.command,
            &self.stdout_file(),
            &self.stderr_file(),
            None,
        )?);
        Ok(())
    }

    /// Starts it and waits for its end: for commands that answer. Gives the exit code.
    pub async fn run(&mut self, limit: Duration) -> anyhow::Result<i32> {
        self.start()?;
        self.wait(limit).await
    }

    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.exit_code().is_none())
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Leash::pid)
    }

    /// Asks it to stop; [`wait`](Self::wait) tells how it did.
    pub fn sigterm(&mut self) {
        self.signal("TERM");
    }

    /// Kills it, as a crash or a lost machine would.
    pub fn sigkill(&mut self) {
        self.signal("KILL");
    }

    /// Any signal by its name: "INT", "HUP", "STOP", "CONT", …
    pub fn signal(&mut self, name: &str) {
        if let Some(process) = &mut self.process {
            process.signal(name);
        }
    }

    /// Waits for the end. Gives the exit code; a killed one has 128 and the signal's number (137 for KILL).
    pub async fn wait(&mut self, limit: Duration) -> anyhow::Result<i32> {
        let process = self.process.as_mut().context("herald was never started")?;
        let ended = wait::until("the end of herald", limit, async || process.exit_code()).await;
        with_tail(ended, &self.stderr_file())
    }

    /// All it has written to stdout since the first start.
    pub fn stdout(&self) -> String {
        read(&self.stdout_file())
    }

    /// All it has written to stderr since the first start.
    pub fn stderr(&self) -> String {
        read(&self.stderr_file())
    }

    /// Waits until stdout or stderr contains `text`; fails at once if it ends before.
    pub async fn wait_for_output(&mut self, text: &str, limit: Duration) -> anyhow::Result<()> {
        let (stdout, stderr) = (self.stdout_file(), self.stderr_file());
        let what = format!("{text:?} in herald's output");
        let seen = wait::until(&what, limit, async || {
            let running = self.is_running(); // asked first: what it wrote before its end must be seen
            if read(&stdout).contains(text) || read(&stderr).contains(text) {
                return Some(true);
            }
            if running { None } else { Some(false) }
        });
        let seen = seen.await.and_then(|seen| {
            if seen {
                Ok(())
            } else {
                Err(anyhow!("herald ended without having said {text:?}"))
            }
        });
        with_tail(seen, &stderr)
    }

    fn stdout_file(&self) -> PathBuf {
        self.dir.join("herald.stdout")
    }

    fn stderr_file(&self) -> PathBuf {
        self.dir.join("herald.stderr")
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        // not only in a panic: a test may fail by returning an error, and when it passes nobody sees this
        eprintln!("stderr of herald ends:\n{}", tail(&self.stderr_file(), 30));
    }
}

fn read(file: &Path) -> String {
    std::fs::read(file)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
