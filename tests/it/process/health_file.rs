//! Under a service manager and in a container: signs of life, a stop within its limit, no rights and nowhere to write.

use std::{
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use upgrade_herald::{adapters::store::SqlStore, domain::outbox::PostState, ports::OutboxStore};

use crate::{
    doubles::discord::{Fault, Faults, OneShot, Options},
    harness::world::{PASSWORD, PATIENCE, World, later, now},
    support::{DevnetOptions, Herald, repo, skip, wait},
};

const ONE: &str = "zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n\
    \x20 - { id: one, phase: preparation, template: preparation/announced, on: planned }\n";

async fn world(drain: &str) -> Result<World> {
    let w = World::new(Options::default(), DevnetOptions::default()).await?;
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    w.write(
        "herald.yaml",
        &deployment.replace("timeout: 4s,", &format!("drain: {drain}, timeout: 4s,")),
    )?;
    w.write("plan.yaml", ONE)?;
    Ok(w)
}

fn herald(w: &World, command: &[&str]) -> Herald {
    Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path())
        .args(command)
        .env("TEST_DISCORD_TOKEN", w.discord.token())
        .env("TEST_MATRIX_PASSWORD", PASSWORD)
        .env("HERALD_HEALTH_FILE", w.dir.path().join("health"))
}

/// The exit code of `herald health`, and what it said.
async fn health(w: &World, more: &[&str]) -> Result<(i32, String)> {
    let mut asked = herald(w, &[&["health"], more].concat());
    let before = (asked.stdout().len(), asked.stderr().len());
    let code = asked.run(PATIENCE).await?;
    let said = format!(
        "{}{}",
        asked.stdout().get(before.0..).unwrap_or_default(),
        asked.stderr().get(before.1..).unwrap_or_default()
    );
    Ok((code, said))
}

/// A service manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self(socket))
    }

    /// Everything until a message has this line.
    async fn heard(&self, line: &str) -> Result<Vec<String>> {
        let mut heard = Vec::new();
        wait::until(
            &format!("{line} at the service manager"),
            PATIENCE,
            async || {
                heard.extend(self.next());
                heard
                    .last()
                    .is_some_and(|m| m.lines().any(|l| l == line))
                    .then_some(())
            },
        )
        .await?;
        Ok(heard)
    }

    fn next(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(buffer.get(..length)?).into_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_and_a_health_check_hear_of_it_for_as_long_as_it_goes_on() -> Result<()> {
    let w = world("10s").await?;
    let socket = w.dir.path().join("notify");
    let manager = Manager::at(&socket)?;
    assert_eq!(health(&w, &[]).await?.0, 1, "before it runs");
    let mut running = herald(&w, &["run"])
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "1500000");
    running.start()?;
    let starting = manager.heard("READY=1").await?;
    assert!(
        starting
            .iter()
            .any(|m| m == "STATUS=starting\n" || m == "STATUS=starting"),
        "{starting:?}"
    );
    assert!(
        running.stderr().contains("herald is running"),
        "it is ready no sooner than it runs: {}",
        running.stderr()
    );
    assert!(
        starting.last().is_some_and(|m| m.contains("STATUS=active")),
        "{starting:?}"
    );
    for _ in 0..3 {
        manager.heard("WATCHDOG=1").await?;
    }
    assert_eq!(health(&w, &["--ready"]).await?, (0, "active\n".to_owned()));

    // A process that is stopped says nothing; one that goes on is heard again.
    running.signal("STOP");
    let stat = format!("/proc/{}/stat", running.pid().context("a process")?);
    let stands = async || {
        std::fs::read_to_string(&stat)
            .ok()?
            .rsplit(") ")
            .next()?
            .starts_with('T')
            .then_some(())
    };
    wait::until("the process to stand still", PATIENCE, stands).await?;
    while manager.next().is_some() {}
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(manager.next(), None);
    running.signal("CONT");
    manager.heard("WATCHDOG=1").await?;

    running.sigterm();
    manager.heard("STOPPING=1").await?;
    assert_eq!(running.wait(PATIENCE).await?, 0);
    let (code, said) = health(&w, &[]).await?;
    assert!(
        code == 1 && said.contains("herald is not running"),
        "{code}: {said}"
    );

    // Killed, it leaves its last sign behind; that is not taken for life once it is old.
    running.start()?;
    manager.heard("READY=1").await?;
    running.sigkill();
    running.wait(PATIENCE).await?;
    let file = w.dir.path().join("health");
    let mut sign: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    sign["at"] = later(now(), -9 * 3_600).to_string().into();
    std::fs::write(&file, sign.to_string())?;
    let (code, said) = health(&w, &[]).await?;
    assert!(
        code == 1
            && said.contains("nothing was heard of herald for 9 hours")
            && said.contains("it was active"),
        "{code}: {said}"
    );
    std::fs::write(&file, "something else")?;
    let (code, said) = health(&w, &[]).await?;
    assert!(
        code == 1 && said.contains("is not a file of `herald run --health-file`"),
        "{code}: {said}"
    );
    Ok(())
}

/// The next message on Discord is campaign, and answered so much later.
fn answered_late(w: &World, by: Duration) {
    let script = [OneShot::new(
        "POST",
        &format!("/channels/{}/messages", w.channel),
        Fault::Stall(by),
    )]
    .into();
    w.discord.set_faults(Faults {
        script,
        ..Faults::default()
    });
}

async fn one_is_on_discord(w: &World) -> Result<()> {
    wait::until("the post on Discord", PATIENCE, async || {
        (!w.discord.messages(w.channel).is_empty()).then_some(())
    })
    .await
}

async fn state_on_discord(w: &World) -> Result<Option<PostState>> {
    let store = SqlStore::open(&format!(
        "sqlite://{}",
        w.dir.path().join("herald.db").display()
    ))
    .await?;
    Ok(store
        .posts("v2")
        .await?
        .into_iter()
        .find(|p| p.channel == "discord")
        .map(|p| p.state))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_in_flight() -> Result<()> {
    let w = world("60s").await?;
    // It waits for an answer much longer than this one takes.
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    w.write(
        "herald.yaml",
        &deployment.replace("timeout: 4s, lease: 5s", "timeout: 50s, lease: 55s"),
    )?;
    let mut running = herald(&w, &["run"]);
    running.start()?;
    running
        .wait_for_output("herald is running", PATIENCE)
        .await?;
    answered_late(&w, Duration::from_secs(8));
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 9_000)),
    )?;
    one_is_on_discord(&w).await?;
    running.sigterm();
    assert_eq!(running.wait(PATIENCE).await?, 0);
    assert_eq!(
        state_on_discord(&w).await?,
        Some(PostState::Sent),
        "{}",
        running.stderr()
    );
    assert!(
        !running.stderr().contains("did not end within"),
        "{}",
        running.stderr()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_no_longer_than_its_limit_and_nothing_is_said_twice() -> Result<()> {
    let mut w = world("1s").await?;
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    w.write(
        "herald.yaml",
        &deployment.replace("timeout: 4s, lease: 5s", "timeout: 20s, lease: 25s"),
    )?;
    let mut running = herald(&w, &["run"]);
    running.start()?;
    running
        .wait_for_output("herald is running", PATIENCE)
        .await?;
    answered_late(&w, Duration::from_secs(600));
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 9_000)),
    )?;
    one_is_on_discord(&w).await?;
    running.sigterm();
    assert_eq!(
        running.wait(PATIENCE).await?,
        0,
        "long before the request would end"
    );
    assert!(
        running
            .stderr()
            .contains("did not end within 1 s; it is taken up again later"),
        "{}",
        running.stderr()
    );
    assert_eq!(state_on_discord(&w).await?, Some(PostState::Sending));

    w.discord.set_faults(Faults::default());
    w.write("herald.yaml", &deployment)?;
    w.start().await?;
    wait::until("the post is known to be there", PATIENCE, async || {
        (state_on_discord(&w).await.ok()? == Some(PostState::Sent)).then_some(())
    })
    .await?;
    assert_eq!(w.discord.messages(w.channel).len(), 1);
    Ok(())
}

/// No file of the process may be longer: its health file is shorter, its databases and, by and by, its log are not.
const FULL: &str = "--fsize=4096:unlimited";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_once_there_is_room_it_goes_on_by_itself() -> Result<()> {
    let w = world("10s").await?;
    let limit = async |running: &Herald, size: &str| -> Result<()> {
        let pid = running.pid().context("a process")?.to_string();
        let mut limited = tokio::process::Command::new("prlimit");
        limited.args(["--pid", &pid, size]);
        ensure!(limited.status().await?.success(), "prlimit {size}");
        Ok(())
    };
    // A file that may not grow is an error to whoever writes, once the signal is ignored.
    let mut running = Herald::new("sh".into(), w.dir.path())
        .args([
            "-c",
            "trap '' XFSZ; exec \"$0\" run",
            env!("CARGO_BIN_EXE_herald"),
        ])
        .env("TEST_DISCORD_TOKEN", w.discord.token())
        .env("TEST_MATRIX_PASSWORD", PASSWORD)
        .env("HERALD_HEALTH_FILE", w.dir.path().join("health"));
    running.start()?;
    running
        .wait_for_output("herald is running", PATIENCE)
        .await?;
    let told = async |ready: (i32, &str)| {
        wait::until(ready.1, PATIENCE, async || {
            let (code, said) = health(&w, &["--ready"]).await.ok()?;
            (code == ready.0 && said.contains(ready.1)).then_some(())
        })
        .await
    };
    limit(&running, FULL).await?;
    told((1, "active, and the store takes no writes: "))
        .await
        .with_context(|| running.stderr())?;
    let (code, said) = health(&w, &[]).await?;
    ensure!(code == 0, "a new start would not help: {said}");
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 9_000)),
    )?;
    limit(&running, "--fsize=unlimited:unlimited").await?;
    told((0, "active\n")).await?;
    one_is_on_discord(&w).await?;
    w.on_matrix("Devnet").await?;
    ensure!(w.discord.messages(w.channel).len() == 1, "once");
    running.sigterm();
    assert_eq!(running.wait(PATIENCE).await?, 0, "{}", running.stderr());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_no_rights_and_one_folder_to_write_to() -> Result<()> {
    let w = world("10s").await?;
    let data = w.dir.path().join("data");
    std::fs::create_dir(&data)?;
    std::fs::copy(w.dir.path().join("ca.pem"), data.join("ca.pem"))?;
    let walled = repo().join("tests/it/support/walled.sh");
    let mut running = Herald::new("sh".into(), &data)
        .args([
            walled.as_os_str(),
            data.canonicalize()?.as_os_str(),
            env!("CARGO_BIN_EXE_herald").as_ref(),
            "run".as_ref(),
        ])
        .env("TEST_DISCORD_TOKEN", w.discord.token())
        .env("TEST_MATRIX_PASSWORD", PASSWORD)
        .env("HERALD_CONFIG", w.dir.path().join("config"))
        .env("HERALD_HEALTH_FILE", data.join("health"));
    running.start()?;
    wait::until("herald to run", PATIENCE, async || {
        (running.stderr().contains("herald is running") || !running.is_running()).then_some(())
    })
    .await?;
    if !running.is_running() {
        let code = running.wait(PATIENCE).await?;
        ensure!(code == 77, "ended with {code}: {}", running.stderr());
        skip("there are no user namespaces here, so the root can't be made read-only");
        return Ok(());
    }
    let status = std::fs::read_to_string(format!(
        "/proc/{}/status",
        running.pid().context("a process")?
    ))?;
    let of = |key: &str| {
        status
            .lines()
            .find_map(|l| l.strip_prefix(key))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    assert_eq!(of("CapEff:").trim_start_matches('0'), "", "no rights");
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 9_000)),
    )?;
    one_is_on_discord(&w).await?;
    w.on_matrix("Devnet").await?;
    let mut asked =
        Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path()).args(["health", "--ready"]);
    asked = asked.env("HERALD_HEALTH_FILE", data.join("health"));
    assert_eq!(asked.run(PATIENCE).await?, 0, "{}", asked.stderr());
    running.sigterm();
    assert_eq!(running.wait(PATIENCE).await?, 0, "{}", running.stderr());
    assert!(data.join("herald.db").is_file() && data.join("matrix").is_dir());
    Ok(())
}

/// What is packaged starts commands that there are, with settings that there are.
#[test]
fn what_is_packaged_fits_the_program() -> Result<()> {
    use clap::{CommandFactory, Parser};
    let read = |name: &str| {
        std::fs::read_to_string(repo().join("packaging").join(name))
            .with_context(|| name.to_owned())
    };
    let (unit, image, compose) = (
        read("upgrade-herald.service")?,
        read("Containerfile")?,
        read("compose.yaml")?,
    );
    let compose: Value = serde_yaml_of(&compose)?;
    let service = &compose["services"]["herald"];
    let entries = |key: &str| -> Vec<String> {
        unit.lines()
            .filter_map(|l| l.strip_prefix(key))
            .map(str::to_owned)
            .collect()
    };

    let mut commands: Vec<Vec<String>> = entries("ExecStart=")
        .iter()
        .map(|c| c.split(' ').map(str::to_owned).collect())
        .collect();
    for line in image.lines().filter(|l| l.contains("CMD [")) {
        commands.push(serde_json::from_str(
            &line[line.find('[').context("a list")?..],
        )?);
    }
    let test: Vec<String> = serde_json::from_value(service["healthcheck"]["test"].clone())?;
    commands.push(test[1..].to_vec());
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in commands {
        upgrade_herald::cli::Cli::try_parse_from(&command)
            .map_err(|e| anyhow::anyhow!("{command:?}: {e}"))?;
    }

    let mut program = upgrade_herald::cli::Cli::command();
    program.build();
    let of = |c: &clap::Command| -> Vec<String> {
        c.get_arguments()
            .filter_map(|a| a.get_env())
            .map(|e| e.to_string_lossy().into_owned())
            .collect()
    };
    let known: Vec<String> = program
        .get_subcommands()
        .flat_map(of)
        .chain(of(&program))
        .collect();
    let words = format!("{unit}\n{image}").replace(['=', ' ', '\\', '#', '\n'], "\n");
    let named: Vec<&str> = words.lines().filter(|w| w.starts_with("HERALD_")).collect();
    assert!(named.len() >= 4, "{named:?}");
    for name in named {
        assert!(
            known.iter().any(|k| k == name),
            "{name} is none of {known:?}"
        );
    }

    let seconds = |text: &str| {
        text.trim_end_matches('s')
            .parse::<i64>()
            .map_err(|e| anyhow::anyhow!("{text}: {e}"))
    };
    let drain = upgrade_herald::lint::load(&upgrade_herald::config::Origin::Embedded)
        .map_err(|f| anyhow::anyhow!("{f:?}"))?;
    let drain = drain.config.deployment.delivery.drain.as_secs();
    assert!(
        seconds(&entries("TimeoutStopSec=")[0])? > drain,
        "systemd kills before it is done"
    );
    assert!(
        seconds(service["stop_grace_period"].as_str().context("a time")?)? > drain,
        "so does the container's"
    );
    assert_eq!(
        entries("Type="),
        ["notify"],
        "the program says when it runs"
    );
    assert_eq!(service["read_only"], true);
    Ok(())
}

fn serde_yaml_of(text: &str) -> Result<Value> {
    Ok(serde_yaml::from_str(text)?)
}

#[test]
fn the_unit_is_one_that_systemd_takes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let unit = std::fs::read_to_string(repo().join("packaging/upgrade-herald.service"))?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_herald"));
    let file = dir.path().join("upgrade-herald.service");
    std::fs::write(
        &file,
        unit.replace("/usr/local/bin/herald", &program.display().to_string()),
    )?;
    let verify = std::process::Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&file)
        .output();
    let Ok(verify) = verify else {
        skip("systemd-analyze is not installed, so the unit is not looked at by systemd itself");
        return Ok(());
    };
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    ensure!(
        verify.status.success() && !said.contains("upgrade-herald.service"),
        "{said}"
    );
    Ok(())
}
