//! A process that can't outlive the test, without unsafe code: `leash.py` stands between and watches a pipe of ours.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::Context;

/// A running process and its process group. Dropping it kills the group and waits for the end.
pub struct Leash {
    shell: Child,
    line: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    pid: u32,
    pub stderr: PathBuf,
}

impl Leash {
    /// Starts `command` (its program, arguments, environment and folder count; its streams don't): its output is appended to
    /// the two files. `remove` is deleted when the process has ended, for folders that nothing is left to clean up.
    pub fn start(
        command: &Command,
        stdout: &Path,
        stderr: &Path,
        remove: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut shell = Command::new("python3");
        shell.args(["-c", include_str!("leash.py")]);
        shell
            .arg(stdout)
            .arg(stderr)
            .arg(remove.unwrap_or(Path::new("")));
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            shell.current_dir(dir);
        }
        // a group of its own: an interrupt at the terminal reaches the test, and the leash by the test's end
        shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut shell = shell
            .spawn()
            .context("python3, to hold a server for a test")?;

        let mut pid = String::new();
        let mut replies =
            BufReader::new(shell.stdout.take().context("python3 without its output")?);
        replies.read_line(&mut pid)?;
        let pid = pid
            .trim()
            .parse()
            .context("the process id of a server just started")?;
        Ok(Self {
            line: shell.stdin.take(),
            replies,
            shell,
            pid,
            stderr: stderr.into(),
        })
    }

    /// Of the process itself, not of the shell that holds it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal ("TERM", "STOP", …) to the whole group, and returns when it is sent. To one that has ended it does nothing.
    pub fn signal(&mut self, name: &str) {
        if let Some(line) = &mut self.line
            && writeln!(line, "{name}").is_ok()
        {
            self.replies.read_line(&mut String::new()).ok();
        }
    }

    /// The exit code (128 and the signal's number for a killed one), or None while it runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.shell
            .try_wait()
            .ok()
            .flatten()
            .map(|status| status.code().unwrap_or(-1))
    }

    /// Kills the group and waits until it has gone.
    pub fn kill(&mut self) {
        drop(self.line.take());
        self.shell.wait().ok();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.kill();
    }
}
