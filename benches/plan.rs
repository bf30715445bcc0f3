//! `benches/run plan`: what it costs to review a configuration, and to write the posts of a large upgrade.
//!
//! The review is all that `herald check` does with the sample files; its floor reads the same files with the bare YAML
//! parser and compiles the same templates with bare Handlebars. The posts are those of every notice of the sample plan,
//! for an upgrade of seven chains, in ten channels on Discord and ten on Matrix, each asked for by itself as the
//! dispatcher does; their floor renders the same templates with bare Handlebars and makes no dialect of them, for each
//! post and, as another figure, once a notice.
//! Prints a line of JSON a figure, and says on stderr what it is doing.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext, Template};
use serde_json::{Value, json};
use upgrade_herald::{
    adapters::{room::Room, store::SqlStore},
    config::{ConfigFiles, Origin},
    domain::{
        campaign::{Campaign, upgrade::Upgrade},
        chain::fact::Fact,
        outbox::Operation,
        plan::notice::Notice,
    },
    lint,
    outbox::Core,
    ports::{Outlet, Platform, Readers},
    rehearsal::SteppedClock,
    words::{context, render, snapshot::ConfigSnapshot},
};

const WARM_UP: usize = 5;
const SAMPLES: usize = 51;
const CHANNELS: usize = 20;
const CHAINS: usize = 7;
/// How often the time of their floor the review and the posts may take.
const CHECK: f64 = 6.0;
const RENDER: f64 = 4.0;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    eprintln!("the review of the sample configuration");
    let files = ConfigFiles::read(&Origin::Embedded).map_err(|f| anyhow::anyhow!("{f}"))?;
    let (ours, least) = in_turn(
        || {
            lint::load(black_box(&Origin::Embedded))
                .map_err(|f| anyhow::anyhow!("{f:?}"))
                .map(drop)
        },
        || bare_review(&files).map(drop),
    )?;
    report("plan.check", ours, least, CHECK);

    let stage = Stage::set().await?;
    eprintln!(
        "the posts of {} notices in {CHANNELS} channels",
        stage.notices().len()
    );
    let bare = stage.bare(&files)?;
    let (ours, least) = in_turn(|| stage.render(), || stage.render_bare(&bare, CHANNELS))?;
    report("plan.render", ours, least, RENDER);
    // The dispatcher writes a notice once for all channels that show the same; so may bare Handlebars.
    let (ours, once) = in_turn(|| stage.render(), || stage.render_bare(&bare, 1))?;
    let once = quantile(&once, 0.5);
    line("plan.render.floor.once", once, "ms", None);
    line(
        "plan.render.ratio.once",
        quantile(&ours, 0.5) / once,
        "x",
        None,
    );
    Ok(())
}

/// Both in turn, so that a machine that grows slower or faster is seen by both.
fn in_turn(
    mut ours: impl FnMut() -> Result<()>,
    mut floor: impl FnMut() -> Result<()>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut figures = (Vec::new(), Vec::new());
    let timed = |work: &mut dyn FnMut() -> Result<()>| -> Result<Duration> {
        let begun = Instant::now();
        work()?;
        Ok(begun.elapsed())
    };
    for round in 0..WARM_UP + SAMPLES {
        let (a, b) = (timed(&mut ours)?, timed(&mut floor)?);
        if round >= WARM_UP {
            figures.0.push(a.as_secs_f64() * 1e3);
            figures.1.push(b.as_secs_f64() * 1e3);
        }
    }
    Ok(figures)
}

fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn report(name: &str, ours: Vec<f64>, floor: Vec<f64>, target: f64) {
    let (p50, least) = (quantile(&ours, 0.5), quantile(&floor, 0.5));
    line(&format!("{name}.p50"), p50, "ms", None);
    line(&format!("{name}.p95"), quantile(&ours, 0.95), "ms", None);
    line(&format!("{name}.floor"), least, "ms", None);
    line(&format!("{name}.ratio"), p50 / least, "x", Some(target));
}

fn line(name: &str, value: f64, unit: &str, target: Option<f64>) {
    let value = (value * 100.0).round() / 100.0;
    let ok = target.is_none_or(|t| value <= t);
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}

/// The files parsed, the templates compiled, and nothing looked at.
fn bare_review(files: &ConfigFiles) -> Result<(Vec<Value>, Vec<Template>)> {
    let texts = [&files.deployment, &files.plan]
        .into_iter()
        .chain(&files.upgrades);
    let parsed = texts
        .map(|file| Ok(serde_yaml::from_str(black_box(&file.text))?))
        .collect::<Result<_>>()?;
    let compiled = files
        .templates
        .values()
        .map(|file| Ok(Template::compile(black_box(&file.text))?))
        .collect::<Result<_>>()?;
    Ok((parsed, compiled))
}

struct Stage {
    core: Core,
    campaign: Campaign,
    fact: Fact,
}

impl Stage {
    async fn set() -> Result<Self> {
        let loaded = lint::load(&Origin::Embedded).map_err(|f| anyhow::anyhow!("{f:?}"))?;
        let sample: &Upgrade = &loaded
            .config
            .upgrades
            .first()
            .context("an upgrade")?
            .upgrade;
        // An upgrade that has everything a template may speak of, in the words of the sample's file.
        let (mut campaign, fact) = context::sample(&loaded.config.plan, |n| {
            "words ".repeat(n / 6 + 1).chars().take(n).collect()
        });
        let name = campaign
            .upgrade
            .chains
            .keys()
            .next_back()
            .cloned()
            .context("a chain")?;
        campaign.upgrade.chains.remove(&name);
        campaign.progress.chains.remove(&name);
        ensure!(campaign.upgrade.chains.len() == CHAINS, "seven chains");
        (campaign.upgrade.id, campaign.upgrade.title) = (sample.id.clone(), sample.title.clone());
        (campaign.upgrade.window, campaign.upgrade.duties) =
            (sample.window.clone(), sample.duties.clone());
        let rooms = [Platform::Discord, Platform::Matrix].map(|p| (p, Arc::new(Room::new(p))));
        let outlets: BTreeMap<String, Outlet> = (0..CHANNELS)
            .map(|n| {
                let (platform, room) = &rooms[n % 2];
                let outlet = Outlet {
                    platform: *platform,
                    chat: room.clone(),
                    place: n.to_string(),
                    readers: Readers::Public,
                    locale: "en".into(),
                    mentions: BTreeMap::new(),
                };
                (format!("channel-{n}"), outlet)
            })
            .collect();
        let store = Arc::new(SqlStore::open("sqlite::memory:").await?);
        let clock = Arc::new(SteppedClock::new(sample.window.opens));
        let core = Core::new(
            ConfigSnapshot {
                config: loaded.config,
                renderer: loaded.renderer,
            },
            outlets,
            clock,
            store,
        );
        Ok(Self {
            core,
            campaign,
            fact,
        })
    }

    /// Those of all urgencies, each once.
    fn notices(&self) -> Vec<Notice> {
        let mut notices: Vec<Notice> = Vec::new();
        for (_, notice) in self.core.snapshot().plan().all_notices() {
            if !notices.contains(notice) {
                notices.push(notice.clone());
            }
        }
        notices
    }

    fn moment(&self) -> context::RenderInput<'_> {
        context::RenderInput {
            fact: Some(&self.fact),
            due: Some(self.campaign.upgrade.window.opens),
            ..Default::default()
        }
    }

    fn context(&self, notice: &Notice) -> Value {
        context::of(
            &self.campaign,
            Some(notice),
            &self.core.snapshot().config,
            &self.moment(),
        )
    }

    /// Every post as the dispatcher has it made, notice by notice, as they fall due.
    fn render(&self) -> Result<()> {
        let (moment, snapshot) = (self.moment(), self.core.snapshot());
        for notice in &self.notices() {
            for outlet in self.core.outlets.values() {
                let now = self.campaign.upgrade.window.opens;
                let subject = render::Subject {
                    snapshot: &snapshot,
                    campaign: &self.campaign,
                    notice,
                    outlet,
                };
                let body = render::body(subject, Operation::Post, &moment, now);
                ensure!(
                    !black_box(body).map_err(anyhow::Error::msg)?.text.is_empty(),
                    "{} says nothing",
                    notice.id
                );
            }
        }
        Ok(())
    }

    /// Bare Handlebars with the same templates, and helpers that write what they are given.
    fn bare(&self, files: &ConfigFiles) -> Result<Handlebars<'static>> {
        let mut engine = Handlebars::new();
        engine.register_escape_fn(handlebars::no_escape);
        for name in ["time", "left", "short", "span", "word"] {
            engine.register_helper(name, Box::new(plain));
        }
        for (name, file) in &files.templates {
            engine.register_template_string(name, &file.text)?;
            if let Some(short) = name.strip_prefix("partials/") {
                engine.register_template_string(short, &file.text)?;
            }
        }
        Ok(engine)
    }

    /// Each notice so many times.
    fn render_bare(&self, engine: &Handlebars<'_>, times: usize) -> Result<()> {
        for notice in &self.notices() {
            let context = Context::wraps(self.context(notice))?;
            for _ in 0..times {
                black_box(engine.render_with_context(&notice.template, &context)?);
            }
        }
        Ok(())
    }
}

fn plain(
    h: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(
        &h.param(0)
            .map(|p| p.value().to_string())
            .unwrap_or_default(),
    )?;
    Ok(())
}
