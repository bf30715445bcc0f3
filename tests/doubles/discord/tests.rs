//! The double's own stories, told by a bare HTTP client and a bare WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message as Frame,
};

use super::{
    ChannelKind, Double, Fault, Faults, Limits, OneShot, Options, Rate, SlashError, intent,
    permission,
    validate::{Found, Spec},
};

/// A client as the bot has it: it knows `discord.com` by the double's address and certificate.
struct Client {
    http: reqwest::Client,
    token: String,
}

impl Client {
    fn new(discord: &Double) -> Self {
        let root = reqwest::Certificate::from_pem(discord.ca_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .resolve("discord.com", discord.https_addr())
            .add_root_certificate(root)
            .user_agent("DiscordBot (https://example.org, 0.1)")
            .build()
            .unwrap();
        Client {
            http,
            token: discord.token(),
        }
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> reqwest::Result<reqwest::Response> {
        // The port is the double's: the name resolves to its whole address.
        let url = format!("https://discord.com/api/v10{path}");
        let mut request = self.http.request(method, url);
        request = request.header("authorization", format!("Bot {}", self.token));
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        request.send().await
    }

    /// Sends, and checks that a success is one that the description has.
    async fn send(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let answer = self.try_send(method.clone(), path, &body).await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        let plain = path.split('?').next().unwrap();
        let has_body = status.is_success() && status != 204;
        if let (true, Found::Operation(operation, _)) =
            (has_body, Spec::shared().find(method.as_str(), plain))
        {
            assert_eq!(
                Spec::shared().answer(operation, &answer),
                Vec::<String>::new(),
                "{method} {path} {answer}"
            );
        }
        (status, answer)
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, Value::Null).await.1
    }
}

/// A bare gateway client, past HELLO.
struct Gateway(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Gateway {
    async fn connect(discord: &Double) -> Self {
        let url = format!("{}/?v=10", discord.gateway_url());
        let mut gateway = Gateway(connect_async(url).await.unwrap().0);
        assert_eq!(gateway.next().await["op"], 10);
        gateway
    }

    async fn send(&mut self, payload: Value) {
        self.0.send(Frame::text(payload.to_string())).await.unwrap();
    }

    async fn identify(&mut self, discord: &Double, intents: u64) {
        let data = json!({"token": discord.token(), "intents": intents, "properties": {}});
        self.send(json!({"op": 2, "d": data})).await;
    }

    /// The next payload; a close as its code.
    async fn next(&mut self) -> Value {
        match self.0.next().await {
            Some(Ok(Frame::Text(text))) => serde_json::from_str(text.as_str()).unwrap(),
            Some(Ok(Frame::Close(Some(frame)))) => json!({"close": u16::from(frame.code)}),
            other => panic!("the gateway ended: {other:?}"),
        }
    }

    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["t"] == kind {
                return event;
            }
        }
    }
}

async fn start() -> (Double, Client, u64) {
    start_with(Options::default()).await
}

async fn start_with(options: Options) -> (Double, Client, u64) {
    let discord = Double::start(options).await;
    let channel = discord.add_channel("upgrades", ChannelKind::Text);
    let client = Client::new(&discord);
    (discord, client, channel)
}

#[tokio::test]
async fn a_message_of_2001_characters_is_refused_and_remembered() {
    let (discord, client, channel) = start().await;
    let path = format!("/channels/{channel}/messages");
    let (status, answer) = client
        .post(&path, json!({"content": "é".repeat(2001)}))
        .await;
    assert_eq!((status.as_u16(), &answer["code"]), (400, &json!(50035)));
    let error = &answer["errors"]["content"]["_errors"][0];
    assert_eq!(error["code"], "BASE_TYPE_MAX_LENGTH");
    assert_eq!(error["message"], "Must be 2000 or fewer in length.");
    assert_eq!(discord.violations().len(), 1);

    let (status, answer) = client
        .post(&path, json!({"content": "é".repeat(2000)}))
        .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(discord.messages(channel).len(), 1);
}

#[tokio::test]
async fn embeds_of_6001_characters_and_empty_messages_are_refused() {
    let (discord, client, channel) = start().await;
    let path = format!("/channels/{channel}/messages");
    let long = json!({"description": "x".repeat(4000)});
    let (_, answer) = client
        .post(
            &path,
            json!({"embeds": [long, {"description": "x".repeat(2001)}]}),
        )
        .await;
    let error = &answer["errors"]["embeds"]["_errors"][0];
    assert_eq!(error["code"], "MAX_EMBED_SIZE_EXCEEDED", "{answer}");
    let (_, answer) = client
        .post(&path, json!({"content": "  ", "embeds": []}))
        .await;
    assert_eq!(answer["code"], 50006);
    let (_, answer) = client
        .post(&path, json!({"embeds": [{"title": "x".repeat(257)}]}))
        .await;
    let error = &answer["errors"]["embeds"]["0"]["title"]["_errors"][0];
    assert_eq!(error["code"], "BASE_TYPE_MAX_LENGTH", "{answer}");
    assert_eq!(discord.violations().len(), 3);
}

#[tokio::test]
async fn an_unknown_field_is_ignored_but_is_a_violation() {
    let (discord, client, channel) = start().await;
    let path = format!("/channels/{channel}/messages");
    let body = json!({"content": "hello", "embed": {}, "embeds": [{"title": "t", "colour": 1}]});
    let (status, _) = client.post(&path, body).await;
    assert_eq!(status, 200);
    let violations = discord.violations().join("\n");
    assert!(violations.contains("unknown field `embed`"), "{violations}");
    assert!(
        violations.contains("unknown field `embeds.0.colour`"),
        "{violations}"
    );
}

#[tokio::test]
async fn an_enforced_nonce_returns_the_first_message() {
    let (discord, client, channel) = start().await;
    let path = format!("/channels/{channel}/messages");
    let body = json!({"content": "once", "nonce": "a1", "enforce_nonce": true});
    let (_, first) = client.post(&path, body.clone()).await;
    let (status, second) = client.post(&path, body.clone()).await;
    assert_eq!((status.as_u16(), &second["id"]), (200, &first["id"]));
    assert_eq!(
        (&first["nonce"], discord.messages(channel).len()),
        (&json!("a1"), 1)
    );
    let read = client.get(&path).await;
    assert_eq!(read[0].get("nonce"), None, "a nonce isn't stored");
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn an_enforced_nonce_is_forgotten_after_its_window() {
    let nonce_window = Duration::from_millis(1);
    let (discord, client, channel) = start_with(Options {
        nonce_window,
        ..Options::default()
    })
    .await;
    let path = format!("/channels/{channel}/messages");
    let body = json!({"content": "once", "nonce": "a1", "enforce_nonce": true});
    client.post(&path, body.clone()).await;
    tokio::time::sleep(nonce_window * 2).await;
    client.post(&path, body).await;
    assert_eq!(discord.messages(channel).len(), 2);
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn the_sixth_post_in_five_seconds_is_told_to_wait() {
    assert_eq!(Limits::default().post, Rate::new(5, Duration::from_secs(5)));
    // Five seconds are longer here, so that six posts fall into them on a slow machine too.
    let limits = Limits {
        post: Rate::new(5, Duration::from_secs(5_000)),
        ..Limits::default()
    };
    let (discord, client, channel) = start_with(Options {
        limits,
        ..Options::default()
    })
    .await;
    let path = format!("/channels/{channel}/messages");
    for _ in 0..5 {
        client.post(&path, json!({"content": "hello"})).await;
    }
    let answer = client
        .try_send(Method::POST, &path, &json!({"content": "more"}))
        .await
        .unwrap();
    assert_eq!(answer.status(), 429);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("x-ratelimit-limit"), header("x-ratelimit-remaining")),
        ("5".into(), "0".into())
    );
    assert_eq!(header("x-ratelimit-scope"), "user");
    let whole: f64 = header("retry-after").parse().unwrap();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let wait = body["retry_after"].as_f64().unwrap();
    assert!(
        wait > 4_000.0 && wait <= 5_000.0 && whole == wait.ceil(),
        "{whole}: {body}"
    );
    assert_eq!(body["global"], false);
    // Another channel has a bucket of its own.
    let other = discord.add_channel("other", ChannelKind::Text);
    let (status, _) = client
        .post(
            &format!("/channels/{other}/messages"),
            json!({"content": "x"}),
        )
        .await;
    assert_eq!(
        (
            status.as_u16(),
            discord.limited(),
            discord.invalid_requests()
        ),
        (200, 1, 1)
    );
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_message_has_one_thread_with_its_own_id() {
    let (discord, client, channel) = start().await;
    let (_, message) = client
        .post(
            &format!("/channels/{channel}/messages"),
            json!({"content": "hello"}),
        )
        .await;
    let id = message["id"].as_str().unwrap();
    let path = format!("/channels/{channel}/messages/{id}/threads");
    let (status, thread) = client.post(&path, json!({"name": "Questions"})).await;
    assert_eq!(
        (status.as_u16(), &thread["id"], &thread["type"]),
        (201, &message["id"], &json!(11))
    );
    let (_, again) = client.post(&path, json!({"name": "Questions"})).await;
    assert_eq!(again["code"], 160_004);

    let alice = discord.add_person("alice");
    let thread = discord.thread_of(id.parse().unwrap()).unwrap();
    discord.say(thread, alice, "when?").await;
    let read = client.get(&format!("/channels/{thread}/messages")).await;
    assert_eq!(read[0]["author"]["username"], "alice");
    assert_eq!(read[0]["content"], "", "without the privileged intent");
    assert_eq!(read[1]["type"], 21, "the notice at the head");
    discord
        .say(
            thread,
            alice,
            &format!("<@{}> when?", discord.bot_user_id()),
        )
        .await;
    let read = client
        .get(&format!("/channels/{thread}/messages?limit=1"))
        .await;
    assert!(read[0]["content"].as_str().unwrap().ends_with("when?"));
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn reactions_are_counted_listed_and_told() {
    let (discord, client, channel) = start_with(Options {
        limits: Limits::none(),
        ..Options::default()
    })
    .await;
    let mut gateway = Gateway::connect(&discord).await;
    gateway
        .identify(&discord, intent::GUILDS | intent::GUILD_MESSAGE_REACTIONS)
        .await;
    let (_, message) = client
        .post(
            &format!("/channels/{channel}/messages"),
            json!({"content": "go?"}),
        )
        .await;
    let id: u64 = message["id"].as_str().unwrap().parse().unwrap();
    let emoji = format!("/channels/{channel}/messages/{id}/reactions/%E2%9C%85");
    let (status, _) = client
        .send(Method::PUT, &format!("{emoji}/@me"), Value::Null)
        .await;
    assert_eq!(status, 204);
    let alice = discord.add_person("alice");
    discord.react(channel, id, alice, "✅").await;
    let own = gateway.until("MESSAGE_REACTION_ADD").await;
    assert_eq!(own["d"]["user_id"], discord.bot_user_id().to_string());
    let hers = gateway.until("MESSAGE_REACTION_ADD").await;
    assert_eq!(hers["d"]["member"]["user"]["username"], "alice");
    let users = client.get(&format!("{emoji}?limit=100")).await;
    assert_eq!(users.as_array().unwrap().len(), 2);
    discord.unreact(channel, id, alice, "✅").await;
    let message = client
        .get(&format!("/channels/{channel}/messages/{id}"))
        .await;
    assert_eq!(message["reactions"][0]["count"], 1);
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_resumed_session_hears_what_it_missed() {
    let (discord, _, channel) = start().await;
    let mut gateway = Gateway::connect(&discord).await;
    gateway
        .identify(&discord, intent::GUILDS | intent::GUILD_MESSAGES)
        .await;
    let ready = gateway.next().await;
    let seq = gateway.until("GUILD_CREATE").await["s"].clone();
    discord.wait_connected().await;
    discord.cut_gateway().await;
    while gateway.0.next().await.is_some_and(|frame| frame.is_ok()) {}
    let alice = discord.add_person("alice");
    discord.say(channel, alice, "anyone there?").await;

    let mut gateway = Gateway::connect(&discord).await;
    let session = &ready["d"]["session_id"];
    let data = json!({"token": discord.token(), "session_id": session, "seq": seq});
    gateway.send(json!({"op": 6, "d": data})).await;
    let missed = gateway.next().await;
    assert_eq!(
        (&missed["t"], &missed["d"]["content"]),
        (&json!("MESSAGE_CREATE"), &json!(""))
    );
    assert_eq!(gateway.next().await["t"], "RESUMED");
    assert_eq!(discord.identifies(), 1);

    discord.invalid_session(false).await;
    assert_eq!(gateway.next().await, json!({"op": 9, "d": false}));
    gateway.0.close(None).await.unwrap();
    let mut gateway = Gateway::connect(&discord).await;
    gateway.send(json!({"op": 6, "d": data})).await;
    assert_eq!(gateway.next().await["op"], 9, "that session is gone");
}

#[tokio::test]
async fn the_gateway_refuses_a_wrong_token_and_intents_not_granted() {
    let (discord, ..) = start().await;
    let mut gateway = Gateway::connect(&discord).await;
    gateway
        .send(json!({"op": 2, "d": {"token": "x", "intents": 1, "properties": {}}}))
        .await;
    assert_eq!(gateway.next().await["close"], 4004);
    let mut gateway = Gateway::connect(&discord).await;
    gateway
        .identify(&discord, intent::GUILDS | intent::MESSAGE_CONTENT)
        .await;
    assert_eq!(gateway.next().await["close"], 4014);
    assert!(!discord.connected());
}

#[tokio::test]
async fn a_slash_command_is_answered_after_a_deferral() {
    let (discord, client, channel) = start().await;
    let alice = discord.add_person("alice");
    let unknown = discord.slash(alice, channel, "upgrade", "status").await;
    assert!(matches!(unknown, Err(SlashError::NotRegistered(_))));
    let commands = json!([{"name": "upgrade", "description": "Upgrades", "options": [
        {"type": 1, "name": "status", "description": "Where it stands"}]}]);
    let (app, guild) = (discord.application_id(), discord.guild_id());
    let path = format!("/applications/{app}/guilds/{guild}/commands");
    let (status, answer) = client.send(Method::PUT, &path, commands).await;
    assert_eq!(status, 200, "{answer}");

    let mut gateway = Gateway::connect(&discord).await;
    gateway.identify(&discord, 0).await;
    discord.wait_connected().await;
    let bot = async {
        let event = gateway.until("INTERACTION_CREATE").await["d"].clone();
        assert_eq!(event["data"]["options"][0]["name"], "status");
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        let callback = format!("/interactions/{}/{}/callback", text("id"), text("token"));
        let defer = json!({"type": 5, "data": {"flags": 64}});
        assert_eq!(client.post(&callback, defer.clone()).await.0, 204);
        assert_eq!(client.post(&callback, defer).await.1["code"], 40060);
        let original = format!("/webhooks/{app}/{}/messages/@original", text("token"));
        client
            .send(Method::PATCH, &original, json!({"content": "All well"}))
            .await
    };
    let (answer, _) = tokio::join!(discord.slash(alice, channel, "upgrade", "status"), bot);
    let answer = answer.unwrap();
    assert_eq!(
        (answer.content.as_str(), answer.ephemeral, answer.deferred),
        ("All well", true, true)
    );
    assert!(answer.acknowledged_after < Duration::from_secs(3));
    assert_eq!(discord.messages(channel).len(), 0, "only alice sees it");
    let silent = discord.slash(alice, channel, "upgrade", "status").await;
    assert_eq!(silent.unwrap_err(), SlashError::NotAcknowledged);
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn faults_come_on_order() {
    let (discord, client, channel) = start().await;
    let path = format!("/channels/{channel}/messages");
    let shots = [
        OneShot::new("POST", "/channels/", Fault::DropAfter),
        OneShot::new("POST", "/channels/", Fault::DropBefore),
        OneShot::new("POST", "/channels/", Fault::Refuse(502)),
        OneShot::new(
            "GET",
            "/channels/",
            Fault::Limit {
                retry_after: 0.5,
                shared: true,
            },
        ),
    ];
    discord.set_faults(Faults {
        script: shots.into(),
        ..Faults::default()
    });
    let body = json!({"content": "hello"});
    assert!(client.try_send(Method::POST, &path, &body).await.is_err());
    assert_eq!(
        discord.messages(channel).len(),
        1,
        "it was done before the cut"
    );
    assert!(client.try_send(Method::POST, &path, &body).await.is_err());
    assert_eq!(client.post(&path, body.clone()).await.0, 502);
    assert_eq!(discord.messages(channel).len(), 1);
    assert_eq!(client.get(&path).await["retry_after"], 0.5);
    assert_eq!(discord.invalid_requests(), 0, "others caused that limit");
    assert_eq!(client.post(&path, body).await.0, 200);
}

#[tokio::test]
async fn permissions_and_operations_are_checked() {
    let (discord, client, channel) = start().await;
    let path = format!("/channels/{channel}/messages");
    discord.deny(channel, permission::SEND_MESSAGES);
    assert_eq!(
        client.post(&path, json!({"content": "x"})).await.1["code"],
        50013
    );
    discord.deny(channel, permission::VIEW_CHANNEL);
    assert_eq!(client.get(&path).await["code"], 50001);
    assert_eq!(client.get("/channels/1/messages").await["code"], 10003);
    assert_eq!(
        discord.violations(),
        Vec::<String>::new(),
        "none of this is the bot's fault"
    );
    assert_eq!(client.get("/channels/1/message").await["code"], 0);
    assert_eq!(
        client.get(&format!("{path}?limit=101")).await["code"],
        50035
    );
    assert_eq!(discord.violations().len(), 2);
    let stranger = Client {
        token: "wrong".into(),
        ..client
    };
    assert_eq!(
        stranger
            .send(Method::GET, "/users/@me", Value::Null)
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn an_external_event_needs_its_end() {
    let (discord, client, _) = start().await;
    let path = format!("/guilds/{}/scheduled-events", discord.guild_id());
    let mut event = json!({"name": "Upgrade", "privacy_level": 2, "entity_type": 3,
        "scheduled_start_time": "2100-01-01T12:00:00Z", "entity_metadata": {"location": "Chain"}});
    let (_, answer) = client.post(&path, event.clone()).await;
    let error = &answer["errors"]["scheduled_end_time"]["_errors"][0];
    assert_eq!(error["code"], "BASE_TYPE_REQUIRED", "{answer}");
    event["scheduled_end_time"] = json!("2100-01-01T13:00:00Z");
    let (status, made) = client.post(&path, event).await;
    assert_eq!(
        (status.as_u16(), &made["status"]),
        (200, &json!(1)),
        "{made}"
    );
    assert_eq!(discord.scheduled_events().len(), 1);
}

#[tokio::test]
async fn an_announcement_is_published_once() {
    let (discord, client, _) = start().await;
    let news = discord.add_channel("news", ChannelKind::Announcement);
    let (_, message) = client
        .post(
            &format!("/channels/{news}/messages"),
            json!({"content": "news"}),
        )
        .await;
    let path = format!(
        "/channels/{news}/messages/{}/crosspost",
        message["id"].as_str().unwrap()
    );
    assert_eq!(client.post(&path, Value::Null).await.0, 200);
    assert_eq!(client.post(&path, Value::Null).await.1["code"], 40033);
    assert!(discord.messages(news)[0].crossposted);
    discord.set_limits(Limits {
        crosspost: Rate::new(1, Duration::from_secs(60)),
        ..Limits::default()
    });
    assert_eq!(client.post(&path, Value::Null).await.0, 429);
}

#[tokio::test]
async fn everything_that_can_be_looked_up_is_as_described() {
    let (discord, client, channel) = start_with(Options {
        limits: Limits::none(),
        ..Options::default()
    })
    .await;
    let (guild, app, bot) = (
        discord.guild_id(),
        discord.application_id(),
        discord.bot_user_id(),
    );
    let forum = discord.add_channel("forum", ChannelKind::Forum);
    let topic =
        json!({"name": "Topic", "message": {"content": "first", "embeds": [{"title": "t"}]}});
    let (_, topic) = client
        .post(&format!("/channels/{forum}/threads"), topic)
        .await;
    let thread: u64 = topic["id"].as_str().unwrap().parse().unwrap();
    let (_, hello) = client
        .post(
            &format!("/channels/{channel}/messages"),
            json!({"content": "hello"}),
        )
        .await;
    let hello: u64 = hello["id"].as_str().unwrap().parse().unwrap();
    let pin = client
        .send(
            Method::PUT,
            &format!("/channels/{channel}/messages/pins/{hello}"),
            Value::Null,
        )
        .await;
    assert_eq!(pin.0, 204);
    discord
        .reply(channel, discord.add_person("alice"), hello, "well")
        .await;
    let paths = [
        "/gateway".to_owned(),
        "/gateway/bot".to_owned(),
        "/users/@me".to_owned(),
        "/users/@me/guilds".to_owned(),
        format!("/users/{bot}"),
        "/applications/@me".to_owned(),
        "/oauth2/applications/@me".to_owned(),
        format!("/guilds/{guild}"),
        format!("/guilds/{guild}/channels"),
        format!("/guilds/{guild}/roles"),
        format!("/guilds/{guild}/members/{bot}"),
        format!("/guilds/{guild}/threads/active"),
        format!("/guilds/{guild}/scheduled-events"),
        format!("/channels/{channel}"),
        format!("/channels/{thread}"),
        format!("/channels/{thread}/messages"),
        format!("/channels/{channel}/messages?limit=10"),
        format!("/channels/{channel}/messages/{hello}"),
        format!("/channels/{channel}/pins"),
        format!("/channels/{channel}/messages/pins"),
        format!("/channels/{forum}/threads/archived/public"),
        format!("/applications/{app}/guilds/{guild}/commands"),
    ];
    for path in paths {
        let (status, answer) = client.send(Method::GET, &path, Value::Null).await;
        assert_eq!(status, 200, "{path} {answer}");
    }
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_command_with_a_capital_letter_is_refused_where_it_stands() {
    let (discord, client, _) = start().await;
    let path = format!(
        "/applications/{}/guilds/{}/commands",
        discord.application_id(),
        discord.guild_id()
    );
    let named = |name: &str| json!([{"name": "upgrade", "description": "Upgrades", "options": [{"type": 1, "name": name, "description": "d"}]}]);
    let (_, answer) = client.send(Method::PUT, &path, named("Status")).await;
    let error = &answer["errors"]["0"]["options"]["0"]["name"]["_errors"][0];
    assert_eq!(
        error["code"], "APPLICATION_COMMAND_INVALID_NAME",
        "{answer}"
    );
    let (_, answer) = client
        .send(Method::PUT, &path, named(&"x".repeat(33)))
        .await;
    let error = &answer["errors"]["0"]["options"]["0"]["name"]["_errors"][0];
    assert_eq!(
        error["message"], "Must be 32 or fewer in length.",
        "{answer}"
    );
    assert!(discord.commands().is_empty());
}

#[tokio::test]
async fn too_many_invalid_requests_block_the_address() {
    let (discord, client, _) = start_with(Options {
        invalid_cap: 3,
        ..Options::default()
    })
    .await;
    let stranger = Client {
        token: "wrong".into(),
        ..Client::new(&discord)
    };
    for _ in 0..3 {
        assert_eq!(
            stranger
                .send(Method::GET, "/users/@me", Value::Null)
                .await
                .0,
            401
        );
    }
    let blocked = client
        .try_send(Method::GET, "/users/@me", &Value::Null)
        .await
        .unwrap();
    assert_eq!(
        (blocked.status().as_u16(), blocked.text().await.unwrap()),
        (429, "error code: 1015".to_owned())
    );
}

#[tokio::test]
async fn the_global_limit_says_so() {
    let limits = Limits {
        global: Rate::new(1, Duration::from_secs(60)),
        ..Limits::none()
    };
    let (discord, client, _) = start_with(Options {
        limits,
        ..Options::default()
    })
    .await;
    client.get("/users/@me").await;
    let answer = client
        .try_send(Method::GET, "/users/@me", &Value::Null)
        .await
        .unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            &answer.headers()["x-ratelimit-global"]
        ),
        (429, &"true".parse().unwrap())
    );
    assert_eq!((discord.limited(), discord.violations().len()), (1, 0));
}

/// A form with these parts: the rest of each head line, and the bytes.
async fn form(
    discord: &Double,
    client: &Client,
    method: Method,
    path: &str,
    parts: &[(&str, &[u8])],
) -> (u16, Value) {
    let mut body = Vec::new();
    for (head, bytes) in parts {
        body.extend(format!("--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    let request = client
        .http
        .request(method, format!("https://discord.com/api/v10{path}"));
    let request = request.header("authorization", format!("Bot {}", discord.token()));
    let answer = request
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(body)
        .send()
        .await
        .unwrap();
    (
        answer.status().as_u16(),
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null),
    )
}

fn payload(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

#[tokio::test]
async fn files_come_with_their_descriptions_and_stay_through_edits() {
    let (discord, client, channel) = start_with(Options {
        limits: Limits::none(),
        ..Options::default()
    })
    .await;
    let path = format!("/channels/{channel}/messages");
    let file = "name=\"files[0]\"; filename=\"a.png\"\r\nContent-Type: image/png";
    let bytes: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x05\0\0\0\x07";
    let json = payload(
        &json!({"content": "one", "attachments": [{"id": 0, "filename": "a.png", "description": "words"}]}),
    );
    let parts = [(file, bytes), ("name=\"payload_json\"", json.as_slice())];
    let (status, answer) = form(&discord, &client, Method::POST, &path, &parts).await;
    assert_eq!(status, 200, "{answer}");
    let told = &answer["attachments"][0];
    assert_eq!(
        (
            &told["description"],
            &told["width"],
            &told["height"],
            &told["size"]
        ),
        (&json!("words"), &json!(5), &json!(7), &json!(24))
    );
    let message = discord.messages(channel).remove(0);
    assert_eq!(
        (
            message.attachments[0].name.as_str(),
            message.attachments[0].bytes.as_slice()
        ),
        ("a.png", bytes)
    );

    let one = format!("{path}/{}", message.id);
    let (_, answer) = client
        .send(Method::PATCH, &one, json!({"content": "two"}))
        .await;
    assert_eq!(
        (&answer["content"], &answer["attachments"][0]["filename"]),
        (&json!("two"), &json!("a.png"))
    );
    assert!(answer["edited_timestamp"].is_string());
    let (_, answer) = client
        .send(
            Method::PATCH,
            &one,
            json!({"content": "three", "attachments": []}),
        )
        .await;
    assert_eq!(
        answer["attachments"],
        json!([]),
        "a list without them takes them away"
    );
    let message = discord.message(message.id).unwrap();
    assert_eq!(
        (message.content.as_str(), message.history),
        ("three", vec!["one".to_owned(), "two".to_owned()])
    );
    assert_eq!(discord.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn files_that_dont_match_their_entries_are_refused_or_remembered() {
    let (discord, client, channel) = start_with(Options {
        limits: Limits::none(),
        ..Options::default()
    })
    .await;
    let path = format!("/channels/{channel}/messages");
    let file = "name=\"files[0]\"; filename=\"a.png\"";
    let post = async |file: &str, body: Value| {
        let json = payload(&body);
        form(
            &discord,
            &client,
            Method::POST,
            &path,
            &[(file, b"x"), ("name=\"payload_json\"", json.as_slice())],
        )
        .await
    };
    let (status, answer) = post(file, json!({"attachments": [{"id": 1}]})).await;
    let error = &answer["errors"]["attachments"]["0"]["id"]["_errors"][0];
    assert_eq!(
        (status, &error["code"]),
        (400, &json!("MESSAGE_ATTACHMENT_NOT_FOUND")),
        "{answer}"
    );
    let (status, answer) = post(
        file,
        json!({"attachments": [{"id": 0, "description": "x".repeat(1025)}]}),
    )
    .await;
    assert_eq!((status, &answer["code"]), (400, &json!(50035)), "{answer}");
    for (file, body) in [
        (file, json!({"content": "undescribed"})),
        (
            file,
            json!({"attachments": [{"id": 0, "filename": "b.png"}]}),
        ),
        (
            "name=\"file\"; filename=\"a.png\"",
            json!({"content": "another field"}),
        ),
    ] {
        let before = discord.violations().len();
        assert_eq!(post(file, body.clone()).await.0, 200, "{body}");
        assert_eq!(
            discord.violations().len(),
            before + 1,
            "{body}: {:?}",
            discord.violations()
        );
    }
    discord.deny(channel, permission::ATTACH_FILES);
    let (status, answer) = post(file, json!({"attachments": [{"id": 0}]})).await;
    assert_eq!((status, &answer["code"]), (403, &json!(50013)));
}

#[tokio::test]
async fn an_edit_without_a_word_on_mentions_mentions() {
    let (discord, client, channel) = start().await;
    let alice = discord.add_person("alice");
    let path = format!("/channels/{channel}/messages");
    let quiet = json!({"content": "hello", "allowed_mentions": {"parse": []}});
    let (_, message) = client.post(&path, quiet).await;
    let one = format!("{path}/{}", message["id"].as_str().unwrap());
    let (_, answer) = client
        .send(
            Method::PATCH,
            &one,
            json!({"content": format!("<@{alice}>")}),
        )
        .await;
    assert_eq!(answer["mentions"][0]["username"], "alice");
    let (_, answer) = client
        .send(
            Method::PATCH,
            &one,
            json!({"content": format!("<@{alice}>!"), "allowed_mentions": {"parse": []}}),
        )
        .await;
    assert_eq!(answer["mentions"], json!([]));
}
