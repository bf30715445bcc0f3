//! `herald plan window`: times proposed for the window, from the chain's activity and where people live.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use serde_json::json;

use super::open::load;
use crate::{
    adapters::{
        clock::SystemClock,
        node::{self, ActivitySample},
    },
    config::{Config, Plan, instant, suggest},
    domain::{
        campaign::upgrade::Urgency,
        chain::activity::Activity,
        plan::{
            schedule::{Offset, civil_instant, parse_length},
            window::{Proposal, WindowRequest, earliest, longest_lead, propose},
        },
    },
    ports::Clock,
    run::logging,
    words::{Zone, length_words},
};

/// The width to which reasons are folded.
const MAX_WIDTH_CHARS: usize = 120;
/// A sample that covers less says little about weekdays, and one of less than a day nothing about hours.
const WEAK_SAMPLE_BELOW: SignedDuration = SignedDuration::from_hours(3 * 24);
const USELESS_SAMPLE_BELOW: SignedDuration = SignedDuration::from_hours(24);
/// A newest block that is older makes one wonder whether the node is in sync.
const STALE_HEAD_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Propose times for the window, from the chain's own activity and where people live
#[derive(Debug, Args)]
pub struct WindowArgs {
    /// A chain of herald.yaml [default: the only one that upgrades touch, or the first by name]
    #[arg(long, value_name = "NAME")]
    chain: Option<String>,
    /// A node that is not in herald.yaml: its WebSocket address, ws:// or wss://
    #[arg(long, value_name = "URL", conflicts_with = "chain")]
    url: Option<String>,
    /// How many blocks of the last week to read
    #[arg(long, value_name = "N", default_value_t = 1008, value_parser = clap::value_parser!(u32).range(168..=50_000))]
    samples: u32,
    /// How long the window is
    #[arg(long, default_value = "2h", value_parser = parse_length)]
    length: SignedDuration,
    /// No window before this, in the plan's zone: 2026-12-01 [default: what the first notice needs]
    #[arg(long, value_name = "DATE")]
    after: Option<String>,
}

pub async fn run(folder: Option<PathBuf>, args: WindowArgs, json: bool) -> Result<ExitCode> {
    logging::log("error,upgrade_herald=warn");
    if !args.length.is_positive() || args.length > SignedDuration::from_hours(24) {
        bail!("a window lasts up to a day; write --length 2h, or 90m");
    }
    let loaded = load(folder)?;
    let plan = &loaded.config.plan;
    let now = SystemClock.now();
    let lead = longest_lead(plan.notices(Urgency::Routine));
    let (wish, mut notes) = wish(&args, plan, lead, now)?;
    let (chain, endpoints) = chain(&args, &loaded.config)?;
    let sample = read(&chain, &endpoints, args.samples).await?;
    let activity = Activity::of(&sample.blocks, sample.head.at.unwrap_or(now));
    notes.splice(0..0, judgement(&chain, &sample, activity.as_ref(), now));
    let activity = activity.filter(|a| a.covers() >= USELESS_SAMPLE_BELOW);
    let proposals = propose(activity.as_ref(), &plan.people, &wish);
    if json {
        print_json(
            &chain,
            &sample,
            activity.as_ref(),
            &notes,
            &proposals,
            &plan.zone,
        );
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(activity) = &activity {
        print_activity(&chain, &sample, activity);
    }
    for note in &notes {
        out!("{}", folded(note, 0));
    }
    print_table(&proposals, plan);
    Ok(ExitCode::SUCCESS)
}

/// The chain that was asked for, and its endpoints.
fn chain(args: &WindowArgs, config: &Config) -> Result<(String, Vec<String>)> {
    if let Some(url) = &args.url {
        if !(url.starts_with("ws://") || url.starts_with("wss://")) {
            bail!("`{url}` is not a WebSocket address; write ws:// or wss:// and the node's host");
        }
        return Ok(("the chain".to_owned(), vec![url.clone()]));
    }
    let chains = &config.deployment.chains;
    let mut touched: Vec<&String> = config
        .upgrades
        .iter()
        .flat_map(|file| file.upgrade.chains.keys())
        .collect();
    touched.sort();
    touched.dedup();
    let name = match (&args.chain, &touched[..]) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, _) => chains
            .keys()
            .next()
            .ok_or_else(|| anyhow!("herald.yaml names no chain; ask a node with --url"))?,
    };
    let names = || chains.keys().map(String::as_str).collect::<Vec<_>>();
    let chain = chains.get(name).ok_or_else(|| {
        anyhow!(
            "there is no chain `{name}` in herald.yaml; {}",
            suggest(name, names())
        )
    })?;
    Ok((name.clone(), chain.endpoints.clone()))
}

/// From when on windows are looked for, and what is to be said about that.
fn wish<'a>(
    args: &WindowArgs,
    plan: &'a Plan,
    lead: Option<(&str, Offset)>,
    now: Timestamp,
) -> Result<(WindowRequest<'a>, Vec<String>)> {
    let zone = Zone(plan.zone.clone());
    let offset = lead.map_or(Offset::Exact(0), |(_, offset)| offset);
    let announced = earliest(now, offset, &plan.zone)
        .ok_or_else(|| anyhow!("the plan's first notice is too long before the window"))?;
    let mut notes = Vec::new();
    let from = match (&args.after, lead) {
        (Some(text), _) => {
            let bad = || {
                anyhow!(
                    "`{text}` is not a date; write 2026-12-01, or 2026-12-01 14:00 (in the plan's zone, {})",
                    plan.zone_name
                )
            };
            // A day alone begins at midnight.
            let is_day = text.trim().len() == 10;
            let day = text.trim().parse::<Date>().ok().filter(|_| is_day);
            let midnight =
                day.and_then(|day| civil_instant(day.to_datetime(Time::midnight()), &plan.zone));
            let after = midnight.or_else(|| instant(text, &plan.zone).ok());
            let after = after.ok_or_else(bad)?;
            if after <= now {
                bail!("--after {text} is past; leave it out, or name a day to come");
            }
            if let Some((notice, _)) = lead.filter(|(_, offset)| {
                offset
                    .from(after, &plan.zone)
                    .is_some_and(|first| first <= now)
            }) {
                notes.push(format!(
                    "Soon: a window before {} leaves no time for the notice `{notice}`, which would be skipped.",
                    zone.written(announced)
                ));
            }
            after
        }
        (None, Some((notice, offset))) => {
            let ahead = match offset {
                Offset::Days(days) => days.saturating_mul(86_400),
                Offset::Exact(seconds) => seconds,
            };
            let ahead = length_words(SignedDuration::from_secs(ahead.saturating_abs()));
            notes.push(format!(
                "The notice `{notice}` goes out {ahead} before the window, so it can open from {} on; --after DATE asks for another time.",
                plan.zone.to_datetime(announced).strftime("%a %-d %b %Y")
            ));
            announced
        }
        (None, None) => announced,
    };
    Ok((
        WindowRequest {
            length: args.length,
            from,
            zone: &plan.zone,
            lead: offset,
        },
        notes,
    ))
}

async fn read(chain: &str, endpoints: &[String], count: u32) -> Result<ActivitySample> {
    let bar = ProgressBar::with_draw_target(Some(count.into()), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(format!("reading blocks of {chain}'s last week"));
    if bar.is_hidden() {
        eprintln!("reading about {count} blocks of {chain}'s last week");
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    let sample = node::sample(endpoints, count, &|read| {
        bar.set_position(u64::try_from(read).unwrap_or(0).min(count.into()))
    })
    .await;
    bar.finish_and_clear();
    let sample = sample?;
    let megabytes = sample.bytes.div_ceil(1_000_000);
    eprintln!(
        "read {} blocks ({megabytes} MB) from {}",
        grouped(sample.blocks.len()),
        sample.node
    );
    Ok(sample)
}

/// Says what must be known of the sample before it is trusted.
fn judgement(
    chain: &str,
    sample: &ActivitySample,
    activity: Option<&Activity>,
    now: Timestamp,
) -> Vec<String> {
    let mut notes = Vec::new();
    let utc = Zone(TimeZone::UTC);
    match sample.head.at {
        Some(at) if now.duration_since(at) > STALE_HEAD_AFTER => notes.push(format!(
            "Old: the newest finalized block, {}, is of {}. Is the node in sync?",
            grouped(sample.head.number),
            utc.written(at)
        )),
        _ => {}
    }
    let covers = activity.map_or(SignedDuration::ZERO, Activity::covers);
    let pruned = sample
        .oldest
        .map(|oldest| format!("the node has no blocks before {}", grouped(oldest)));
    let remedy = if sample.oldest.is_some() {
        " Ask a node that keeps its blocks, with --url."
    } else {
        ""
    };
    if sample.head.at.is_none() {
        notes.push(format!(
            "{} bears no time, so what follows is proposed from people's time zones alone.",
            begin(chain)
        ));
    } else if covers < USELESS_SAMPLE_BELOW {
        let why = pruned.unwrap_or_else(|| {
            format!(
                "it is younger than a day ({} blocks)",
                grouped(sample.head.number)
            )
        });
        notes.push(format!(
            "{} can't be judged by its activity: {why}. What follows is proposed from people's time zones alone.{remedy}",
            begin(chain)
        ));
    } else if covers < WEAK_SAMPLE_BELOW {
        let why = pruned.unwrap_or_else(|| "the chain is as young as that".to_owned());
        notes.push(format!(
            "Weak: the sample covers {} only ({why}), so most weekdays are guessed from the others.{remedy}",
            length_words(covers)
        ));
    } else if let Some(why) = pruned {
        notes.push(format!(
            "The sample covers {} only: {why}.",
            length_words(covers)
        ));
    }
    if activity.is_some_and(|a| covers >= USELESS_SAMPLE_BELOW && a.mean <= 0.0) {
        notes.push(
            "There is not one transaction in the sample, so no hour is quieter than another."
                .to_owned(),
        );
    }
    if sample.missed > 0 {
        notes.push(format!(
            "{} blocks that were asked for could not be read.",
            grouped(sample.missed)
        ));
    }
    notes
}

fn begin(name: &str) -> String {
    let mut chars = name.chars();
    // A chain's own name stays as it is; "the chain" begins a sentence.
    if name.starts_with("the ") {
        chars
            .next()
            .map(|c| c.to_uppercase().chain(chars).collect())
            .unwrap_or_default()
    } else {
        name.to_owned()
    }
}

fn print_activity(chain: &str, sample: &ActivitySample, activity: &Activity) {
    let utc = Zone(TimeZone::UTC);
    let (first, last) = activity.numbers;
    let line = format!(
        "{}: {} transactions an hour on average, by {} of the blocks {} to {} ({} to {}), from {}",
        begin(chain),
        figure(activity.mean),
        grouped(activity.blocks),
        grouped(first),
        grouped(last),
        utc.written(activity.from),
        utc.written(activity.until),
        sample.node,
    );
    out!("{}\n", folded(&line, 0));
    out!("  hour in UTC   0     6     12    18");
    let known = [false, true].map(|weekend| {
        (0..24)
            .map(|hour| activity.usual(hour, weekend))
            .collect::<Vec<_>>()
    });
    let most = known
        .iter()
        .flatten()
        .flatten()
        .copied()
        .fold(0.0, f64::max);
    for (name, hours) in ["Mon–Fri", "Sat–Sun"].into_iter().zip(&known) {
        let bars: String = hours
            .iter()
            .map(|h| h.map_or(' ', |h| bar(h, most)))
            .collect();
        let named = || {
            hours
                .iter()
                .enumerate()
                .filter_map(|(i, h)| h.map(|h| (i, h)))
        };
        let least = named().min_by(|a, b| a.1.total_cmp(&b.1));
        let highest = named().max_by(|a, b| a.1.total_cmp(&b.1));
        if let (Some((low, few)), Some((high, many))) = (least, highest) {
            out!(
                "  {name:<12}  {bars}  from {} an hour at {low:02}:00 to {} at {high:02}:00",
                figure(few),
                figure(many)
            );
        }
    }
    out!();
}

fn bar(value: f64, most: f64) -> char {
    const BAR_CHARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let place = if most > 0.0 {
        (value / most * 7.0).round() as usize
    } else {
        0
    };
    BAR_CHARS.get(place).copied().unwrap_or('█')
}

fn print_table(proposals: &[Proposal], plan: &Plan) {
    let in_utc = plan.zone != TimeZone::UTC;
    let column = format!("in {}", plan.zone_name);
    let utc_title = if in_utc { "in UTC" } else { "" };
    out!("\n  #  points  {column:<34}  {utc_title:<17}  tx/hour  of mean");
    for (i, p) in proposals.iter().enumerate() {
        let (opens, closes) = (
            plan.zone.to_datetime(p.opens),
            plan.zone.to_datetime(p.closes),
        );
        let (utc_opens, utc_closes) = (
            TimeZone::UTC.to_datetime(p.opens),
            TimeZone::UTC.to_datetime(p.closes),
        );
        let day = if utc_opens.date() == opens.date() {
            String::new()
        } else {
            format!("{} ", utc_opens.strftime("%a"))
        };
        let utc = if in_utc {
            format!(
                "{day}{}–{}",
                utc_opens.strftime("%H:%M"),
                utc_closes.strftime("%H:%M")
            )
        } else {
            String::new()
        };
        let window = format!(
            "{}–{}",
            opens.strftime("%a %-d %b %Y, %H:%M"),
            closes.strftime("%H:%M")
        );
        let (traffic, share) = match (p.transactions, p.share) {
            (Some(traffic), Some(share)) => (figure(traffic), format!("{:.0} %", share * 100.0)),
            (Some(traffic), None) => (figure(traffic), "–".to_owned()),
            _ => ("–".to_owned(), "–".to_owned()),
        };
        out!(
            "{:>3}  {:>6}  {window:<34}  {utc:<17}  {traffic:>7}  {share:>7}",
            i + 1,
            p.score
        );
        for part in &p.parts {
            out!("     {:>+6}  {}", part.points, folded(&part.reason, 13));
        }
    }
    if let Some(best) = proposals.first() {
        out!(
            "\nTo take the first, write into the upgrade's file:\n\n  {}",
            line(best, &plan.zone)
        );
    }
}

/// The line for an upgrade's file, in the plan's zone where that tells the instant.
fn line(p: &Proposal, zone: &TimeZone) -> String {
    let written = |at: Timestamp| {
        let civil = zone.to_datetime(at);
        if civil_instant(civil, zone) == Some(at) {
            civil.strftime("%Y-%m-%d %H:%M").to_string()
        } else {
            at.to_string()
        }
    };
    format!(
        "window: {{ opens: \"{}\", closes: \"{}\" }}",
        written(p.opens),
        written(p.closes)
    )
}

fn print_json(
    chain: &str,
    sample: &ActivitySample,
    activity: Option<&Activity>,
    notes: &[String],
    proposals: &[Proposal],
    zone: &TimeZone,
) {
    let hours = activity.map(|a| {
        a.hours
            .iter()
            .map(|h| h.transactions.map(rounded))
            .collect::<Vec<_>>()
    });
    let of = json!({
        "chain": chain,
        "node": sample.node,
        "blocks": activity.map(|a| a.blocks),
        "first_block": activity.map(|a| a.numbers.0),
        "last_block": activity.map(|a| a.numbers.1),
        "from": activity.map(|a| a.from),
        "until": activity.map(|a| a.until),
        "transactions_per_hour": activity.map(|a| rounded(a.mean)),
        // From Monday 00:00 UTC.
        "hours": hours,
        "weak": activity.is_none_or(|a| a.covers() < WEAK_SAMPLE_BELOW),
        "notes": notes,
    });
    out!("{}", json!({ "sample": of }));
    for (i, p) in proposals.iter().enumerate() {
        out!(
            "{}",
            json!({
                "rank": i + 1,
                "opens": p.opens,
                "closes": p.closes,
                "points": p.score,
                "transactions_per_hour": p.transactions.map(rounded),
                "share_of_mean": p.share.map(|share| (share * 1000.0).round() / 1000.0),
                "people": p.locals,
                "parts": p.parts,
                "line": line(p, zone),
            })
        );
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A number of transactions as people read it: one digit behind the point where it is small.
fn figure(value: f64) -> String {
    if value > 0.0 && value < 9.95 {
        format!("{value:.1}")
    } else {
        grouped(value.round() as u64)
    }
}

/// `12,345,678`
fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let count = digits.chars().count();
    let mut out = String::with_capacity(count + count / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (count - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Folded at spaces to the width of a terminal; what goes on is set in by `indent`.
fn folded(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else { break };
        if !last.is_empty()
            && indent + last.chars().count() + 1 + word.chars().count() > MAX_WIDTH_CHARS
        {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(
            ["0", "999", "1000", "12345678"].map(grouped),
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!(
            [0.0, 0.34, 9.94, 9.96, 1234.5].map(figure),
            ["0", "0.3", "9.9", "10", "1,235"]
        );
        assert_eq!(
            (bar(0.0, 9.0), bar(9.0, 9.0), bar(0.0, 0.0)),
            ('▁', '█', '▁')
        );
    }

    #[test]
    fn long_reasons_are_folded_and_short_ones_are_not() {
        let long = folded(&"word ".repeat(60), 13);
        assert!(
            long.lines().all(|l| l.chars().count() <= MAX_WIDTH_CHARS),
            "{long}"
        );
        assert!(
            long.lines()
                .skip(1)
                .all(|l| l.starts_with("             word")),
            "{long}"
        );
        assert_eq!(folded("short", 13), "short");
    }

    #[test]
    fn the_line_for_the_file_is_civil_unless_that_is_ambiguous() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let of = |opens: &str, closes: &str| Proposal {
            opens: opens.parse().unwrap(),
            closes: closes.parse().unwrap(),
            score: 0,
            transactions: None,
            share: None,
            locals: Vec::new(),
            parts: Vec::new(),
        };
        assert_eq!(
            line(&of("2026-12-08T13:00:00Z", "2026-12-08T15:00:00Z"), &zone),
            "window: { opens: \"2026-12-08 14:00\", closes: \"2026-12-08 16:00\" }"
        );
        // 02:00 comes twice on that night; the second one needs its own offset.
        assert_eq!(
            line(&of("2026-10-25T01:00:00Z", "2026-10-25T03:00:00Z"), &zone),
            "window: { opens: \"2026-10-25T01:00:00Z\", closes: \"2026-10-25 04:00\" }"
        );
    }
}
