//! The rehearsal in a browser: the rooms beside each other, with a viewer who can take part.
//!
//! Everything a viewer does goes the way it goes in a real room: reactions and replies into the room, commands and presses to
//! the answer service, changes into the store. It listens on loopback, and takes commands from its own page alone.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::stream;
use jiff::Timestamp;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    controls::{Controls, InjectedFault, SeenBlock},
    driver::Rehearsal,
    people::{invented_account, viewer},
};
use crate::{
    adapters::room::{Room, SeenPost},
    answer::AnswerService,
    domain::{
        outbox::{Body, Operation, Post},
        people::command::{Command, Kind, Misread},
    },
    outbox::Core,
    ports::{Asker, CommandHandler, Outlet, Platform, Readers, StoreError},
    words::html_preview::{self, discord, escape},
};

const PAGE_HTML: &str = include_str!("browser/page.html");
const PAGE_CSS: &str = include_str!("browser/browser.css");
const PAGE_JS: &str = include_str!("browser/browser.js");
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How often the scene is drawn.
const DRAW_EVERY: std::time::Duration = std::time::Duration::from_millis(250);
/// Messages of a room that are shown.
const MAX_MESSAGES: usize = 40;
/// Characters that a viewer may write at once.
const MAX_CHARS: usize = 1_000;

/// Everything that there is to see.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Scene {
    title: String,
    state: String,
    /// In the plan's zone.
    now: String,
    paused: bool,
    speed: u32,
    over: bool,
    verdict: Vec<String>,
    asked: Vec<InjectedFault>,
    chains: Vec<SceneChain>,
    lines: Vec<String>,
    rooms: Vec<SceneRoom>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct SceneChain {
    name: String,
    stage: &'static str,
    runs: Option<u32>,
    target: u32,
    blocks: Vec<SeenBlock>,
    still: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct SceneRoom {
    name: String,
    platform: Platform,
    /// The platform's name as people write it.
    title: &'static str,
    /// The character that a command begins with, where herald takes some.
    command_prefix: Option<char>,
    operators: bool,
    messages: Vec<SceneMessage>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct SceneMessage {
    id: String,
    root: Option<String>,
    /// herald, you, or somebody invented.
    by: String,
    herald: bool,
    /// Written here alone, from what was escaped.
    html: String,
    at: Option<String>,
    edited: bool,
    pinned: bool,
    /// People may reply below it.
    thread: bool,
    closed: bool,
    choices: Vec<(String, String)>,
    buttons: Vec<(String, String)>,
    reactions: Vec<SceneReaction>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct SceneReaction {
    emoji: String,
    count: usize,
    mine: bool,
}

/// An action of the viewer.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum ViewerAction {
    Pause,
    Go,
    Speed {
        percent: u32,
    },
    Again,
    Fault {
        fault: InjectedFault,
    },
    React {
        room: String,
        message: String,
        emoji: String,
    },
    Reply {
        room: String,
        root: String,
        text: String,
    },
    /// A command, typed or pressed; with the words that it was found to lack.
    Command {
        room: String,
        line: String,
        #[serde(default)]
        part: Option<String>,
        #[serde(default)]
        words: Option<String>,
    },
}

/// The outcome of an action.
#[derive(Debug, Default, Serialize)]
struct ActionResult {
    /// For the viewer alone.
    html: Option<String>,
    /// A part that is asked for besides: its name, what it is, and how long it may be.
    asks: Option<(String, String, usize)>,
    error: Option<String>,
}

/// The rehearsal that is shown now: another one each time it begins again.
#[derive(Clone)]
struct Playback {
    core: Arc<Core>,
    handler: Arc<AnswerService>,
    rooms: Vec<(Platform, Arc<Room>)>,
    upgrade: String,
    /// The viewer's account on each platform.
    viewer: Vec<(Platform, String)>,
}

pub struct BrowserRehearsal {
    controls: Arc<Controls>,
    play: RwLock<Option<Playback>>,
    scene: watch::Sender<(u64, Arc<Scene>)>,
}

impl BrowserRehearsal {
    pub fn new(controls: Arc<Controls>) -> Arc<Self> {
        Arc::new(Self {
            controls,
            play: RwLock::default(),
            scene: watch::Sender::new((0, Arc::default())),
        })
    }

    /// Shows this rehearsal from now on.
    pub fn show(&self, rehearsal: &Rehearsal) {
        let snapshot = rehearsal.core.snapshot();
        let person = viewer(&snapshot.config.people);
        let account = |platform: Platform| {
            let own = person.and_then(|p| p.account(platform));
            own.unwrap_or_else(|| invented_account(platform)).to_owned()
        };
        let viewer = Platform::ALL.map(|p| (p, account(p))).into();
        let play = Playback {
            core: rehearsal.core.clone(),
            handler: Arc::new(AnswerService::new(rehearsal.core.clone())),
            rooms: rehearsal.rooms.clone(),
            upgrade: rehearsal.scenario.upgrade.id.clone(),
            viewer,
        };
        *self.play.write() = Some(play);
        self.controls.begun();
    }

    fn play(&self) -> Option<Playback> {
        self.play.read().clone()
    }

    /// Draws anew whenever there is something to see.
    pub async fn keep(self: Arc<Self>) {
        loop {
            match self.draw().await {
                Ok(scene) => {
                    self.scene.send_if_modified(|(number, last)| {
                        let new = **last != scene;
                        if new {
                            (*number, *last) = (*number + 1, Arc::new(scene));
                        }
                        new
                    });
                }
                Err(error) => tracing::error!("{error}"),
            }
            tokio::time::sleep(DRAW_EVERY).await;
        }
    }

    pub fn router(self: &Arc<Self>) -> Router {
        let file = |kind: &'static str, text: &'static str| {
            get(move || async move { safely((([(header::CONTENT_TYPE, kind)]), text)) })
        };
        Router::new()
            .route("/", file("text/html; charset=utf-8", PAGE_HTML))
            .route("/browser.css", file("text/css; charset=utf-8", PAGE_CSS))
            .route(
                "/browser.js",
                file("text/javascript; charset=utf-8", PAGE_JS),
            )
            .route("/scene", get(scene))
            .route("/events", get(events))
            .route("/act", post(act))
            .with_state(self.clone())
    }

    async fn draw(&self) -> Result<Scene, StoreError> {
        let Some(play) = self.play() else {
            return Ok(Scene::default());
        };
        let core = &play.core;
        let Some(campaign) = core.campaign(&play.upgrade).await? else {
            return Ok(Scene::default());
        };
        let posts = core.store.posts(&play.upgrade).await?;
        let snapshot = core.snapshot();
        let zone = snapshot.renderer.zone();
        let now = core.clock.now();
        let mut blocks = self.controls.blocks();
        let chains = campaign.upgrade.chains.iter().map(|(name, target)| {
            let seen = campaign.progress.chains.get(name);
            SceneChain {
                name: name.clone(),
                stage: seen.map(|c| c.stage).unwrap_or_default().name(),
                runs: seen.and_then(|c| c.spec_version),
                target: target.spec_version,
                blocks: blocks.remove(name).unwrap_or_default(),
                still: self.controls.still().is_some(),
            }
        });
        Ok(Scene {
            title: campaign.upgrade.title.clone(),
            state: campaign.standing().to_owned(),
            now: now
                .to_zoned_datetime(zone.0.clone())
                .strftime("%a %-d %b %Y, %H:%M %Z")
                .to_string(),
            paused: self.controls.is_paused(),
            speed: self.controls.speed(),
            over: self.controls.is_over(),
            verdict: self.controls.result(),
            asked: self.controls.asked(),
            chains: chains.collect(),
            lines: self.controls.lines(),
            rooms: core
                .outlets
                .iter()
                .map(|(name, outlet)| play.room(name, outlet, &posts, now))
                .collect(),
        })
    }
}

impl Playback {
    fn room_of(&self, name: &str) -> Option<(&Outlet, &Arc<Room>)> {
        let outlet = self.core.outlets.get(name)?;
        let (_, room) = self
            .rooms
            .iter()
            .find(|(platform, _)| *platform == outlet.platform)?;
        Some((outlet, room))
    }

    fn viewer(&self, platform: Platform) -> &str {
        self.viewer
            .iter()
            .find(|(p, _)| *p == platform)
            .map_or("", |(_, account)| account)
    }

    fn room(&self, name: &str, outlet: &Outlet, posts: &[Post], now: Timestamp) -> SceneRoom {
        let all = self
            .room_of(name)
            .map(|(_, room)| room.all(&outlet.place))
            .unwrap_or_default();
        let late = all.len().saturating_sub(MAX_MESSAGES);
        let messages = all
            .into_iter()
            .skip(late)
            .map(|seen| self.message(seen, outlet, posts, now))
            .collect();
        let capabilities = outlet.platform.capabilities();
        SceneRoom {
            name: name.to_owned(),
            platform: outlet.platform,
            title: capabilities.title,
            command_prefix: capabilities.command_prefix,
            operators: outlet.readers == Readers::Operators,
            messages,
        }
    }

    fn message(
        &self,
        seen: SeenPost,
        outlet: &Outlet,
        posts: &[Post],
        now: Timestamp,
    ) -> SceneMessage {
        let snapshot = self.core.snapshot();
        let zone = snapshot.renderer.zone();
        let me = self.viewer(outlet.platform);
        let name = |account: &str| {
            let known = snapshot.config.people.all.iter().find(|p| {
                Platform::ALL
                    .iter()
                    .any(|platform| p.account(*platform) == Some(account))
            });
            known.map_or_else(|| account.to_owned(), |p| p.name.clone())
        };
        let own = |p: &&Post| p.remote.as_deref() == Some(&seen.id) && p.is_message();
        let sent = posts.iter().find(own).and_then(|p| p.sent);
        let thread = posts
            .iter()
            .any(|p| p.operation == Operation::Thread && p.remote.as_deref() == Some(&seen.id));
        let mut reactions: Vec<SceneReaction> = Vec::new();
        for (who, emoji) in &seen.reactions {
            match reactions.iter_mut().find(|r| r.emoji == *emoji) {
                Some(known) => {
                    known.count += 1;
                    known.mine |= who == me;
                }
                None => reactions.push(SceneReaction {
                    emoji: emoji.clone(),
                    count: 1,
                    mine: who == me,
                }),
            }
        }
        SceneMessage {
            html: drawn(&called(&seen.body, outlet), outlet.platform, &snapshot, now),
            by: match &seen.by {
                None => "herald".to_owned(),
                Some(account) if account == me => "You".to_owned(),
                Some(account) => name(account),
            },
            herald: seen.by.is_none(),
            at: sent.map(|at| {
                at.to_zoned_datetime(zone.0.clone())
                    .strftime("%-d %b, %H:%M")
                    .to_string()
            }),
            edited: seen.edited,
            pinned: seen.pinned,
            thread,
            closed: seen.closed,
            choices: seen.body.ballot.map(|b| b.choices).unwrap_or_default(),
            buttons: seen
                .body
                .buttons
                .into_iter()
                .map(|b| (b.label, b.line))
                .collect(),
            reactions,
            id: seen.id,
            root: seen.root,
        }
    }
}

/// With the names of the groups that it calls, as Discord's client would show them.
fn called(body: &Body, outlet: &Outlet) -> Body {
    let groups = outlet
        .mentions
        .iter()
        .flat_map(|(group, ids)| ids.iter().map(move |id| (group, id)));
    let text = groups.fold(body.text.clone(), |text, (group, id)| {
        text.replace(&format!("<@&{id}>"), &format!("**@{group}**"))
    });
    Body {
        text,
        ..body.clone()
    }
}

/// A message as its platform shows it.
fn drawn(
    body: &Body,
    platform: Platform,
    snapshot: &crate::words::snapshot::ConfigSnapshot,
    now: Timestamp,
) -> String {
    let zone = snapshot.renderer.zone();
    let words = |text: &str| discord(text, zone, now);
    let mut out = match &body.ballot {
        Some(ballot) => format!("<p><strong>{}</strong></p>", escape(&ballot.question)),
        None => html_preview::drawn(body, platform.capabilities().markup, zone, now),
    };
    if let Some(card) = &body.card {
        out.push_str(&format!("<div class=\"card\">{}</div>", words(&card.text)));
    }
    if let Some(picture) = &body.picture {
        let (alt, png) = (
            escape(&picture.alt),
            crate::words::html_preview::base64(&picture.png),
        );
        out.push_str(&format!(
            "<img alt=\"{alt}\" width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{png}\">",
            picture.width, picture.height
        ));
    }
    out
}

fn safely(answer: impl IntoResponse) -> Response {
    let safety = [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    ([(header::CACHE_CONTROL, "no-store")], safety, answer).into_response()
}

async fn scene(State(browser): State<Arc<BrowserRehearsal>>) -> Response {
    let scene = browser.scene.borrow().1.clone();
    safely(Json((*scene).clone()))
}

async fn events(State(browser): State<Arc<BrowserRehearsal>>) -> Response {
    let mut scenes = browser.scene.subscribe();
    scenes.mark_changed();
    let told = stream::unfold(scenes, |mut scenes| async move {
        scenes.changed().await.ok()?;
        let number = scenes.borrow_and_update().0;
        Some((
            Ok::<_, std::convert::Infallible>(
                Event::default().event("scene").data(number.to_string()),
            ),
            scenes,
        ))
    });
    safely(Sse::new(told).keep_alive(KeepAlive::default()))
}

/// A page from elsewhere could have the viewer's browser send this; it can't set the header, nor be this host.
fn is_own(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    let origin = headers.get(header::ORIGIN).and_then(|o| o.to_str().ok());
    local
        && headers.contains_key("x-rehearsal")
        && origin.is_none_or(|origin| origin == format!("http://{host}"))
}

async fn act(
    State(browser): State<Arc<BrowserRehearsal>>,
    headers: HeaderMap,
    Json(action): Json<ViewerAction>,
) -> Response {
    if !is_own(&headers) {
        return safely((
            StatusCode::FORBIDDEN,
            "Orders are taken from the rehearsal's own page alone.\n",
        ));
    }
    let Some(play) = browser.play() else {
        return safely((
            StatusCode::SERVICE_UNAVAILABLE,
            "The rehearsal has not begun.\n",
        ));
    };
    let controls = &browser.controls;
    let mut answer = ActionResult::default();
    match action {
        ViewerAction::Pause => controls.pause(true),
        ViewerAction::Go => controls.pause(false),
        ViewerAction::Speed { percent } => controls.set_speed(percent),
        ViewerAction::Again => controls.begin_again(),
        ViewerAction::Fault { fault } => controls.ask(fault),
        ViewerAction::React {
            room,
            message,
            emoji,
        } => match play.room_of(&room) {
            Some((outlet, room)) if emoji.chars().count() <= 16 && !emoji.trim().is_empty() => {
                let me = play.viewer(outlet.platform);
                let has = room.all(&outlet.place).iter().any(|m| {
                    m.id == message && m.reactions.contains(&(me.to_owned(), emoji.clone()))
                });
                if has {
                    room.unreact(&message, me, &emoji)
                } else {
                    room.react(&message, me, &emoji)
                }
            }
            _ => answer.error = Some("There is no such room, or no such reaction.".into()),
        },
        ViewerAction::Reply { room, root, text } => match play.room_of(&room) {
            Some((outlet, room))
                if !text.trim().is_empty() && text.chars().count() <= MAX_CHARS =>
            {
                room.reply(
                    &outlet.place,
                    &root,
                    play.viewer(outlet.platform),
                    text.trim(),
                    play.core.clock.now(),
                );
            }
            _ => answer.error = Some(format!("Write 1 to {MAX_CHARS} characters.")),
        },
        ViewerAction::Command {
            room,
            line,
            part,
            words,
        } => {
            command(
                &play,
                &room,
                &line,
                part.as_deref().zip(words.as_deref()),
                &mut answer,
            )
            .await
        }
    }
    safely(Json(answer))
}

/// A command is answered as one from a real room is; what it lacks is asked for.
async fn command(
    play: &Playback,
    room: &str,
    line: &str,
    more: Option<(&str, &str)>,
    answer: &mut ActionResult,
) {
    let Some((outlet, _)) = play.room_of(room) else {
        answer.error = Some("There is no such room.".into());
        return;
    };
    let line: String = line
        .trim()
        .trim_start_matches(['/', '!'])
        .chars()
        .take(MAX_CHARS)
        .collect();
    let line = line
        .strip_prefix("upgrade")
        .map_or(line.as_str(), str::trim_start);
    let command = match more {
        Some(more) => Command::completed(line, [more]),
        None => Command::from_line(if line.is_empty() { "help" } else { line }),
    };
    if let Err(Misread::Missing { part, .. }) = &command
        && let Kind::Words(most) = part.kind
        && more.is_none()
    {
        answer.asks = Some((part.name.to_owned(), part.about.to_owned(), most));
        return;
    }
    let asker = Asker::new(outlet.platform, play.viewer(outlet.platform), &outlet.place);
    let body = play.handler.answer(&asker, &command).await;
    answer.html = Some(drawn(
        &body,
        outlet.platform,
        &play.core.snapshot(),
        play.core.clock.now(),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_from_the_rehearsals_own_page_alone() {
        let of = |pairs: &[(&'static str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| (header::HeaderName::from_static(k), v.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        let own = [
            ("host", "127.0.0.1:8080"),
            ("x-rehearsal", "1"),
            ("origin", "http://127.0.0.1:8080"),
        ];
        assert!(is_own(&of(&own)) && is_own(&of(&own[..2])));
        assert!(
            !is_own(&of(&own[..1])),
            "a form of another page can't set the header"
        );
        assert!(!is_own(&of(&[
            own[0],
            own[1],
            ("origin", "https://evil.example")
        ])));
        assert!(
            !is_own(&of(&[("host", "evil.example:8080"), own[1]])),
            "a name that was pointed here"
        );
    }
}
