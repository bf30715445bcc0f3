//! The REST side: each request goes through faults, the rate limits, the OpenAPI description and
//! the rules by hand before it touches the state.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Request, Response, header},
};
use serde_json::{Value, json};

use super::{
    Inner,
    clock::now_ms,
    error::{
        ApiError, invalid_json, method_not_allowed, missing_permissions, not_found, too_large,
        unauthorized,
    },
    faults::Fault,
    limits::{Class, Quota, Scope},
    multipart, routes,
    state::State,
    tls::Cutter,
    validate::{Found, Operation, Spec, percent_decode},
};

const PREFIX: &str = "/api/v10";
/// The largest file that a server without boosts takes.
const FILE_LIMIT: usize = 10 << 20;
/// The largest body that is read.
const BODY_LIMIT: usize = 25 << 20;

/// A request that was understood.
pub(super) struct Call {
    pub method: &'static str,
    /// The path as the description writes it.
    pub template: &'static str,
    path: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    pub body: Value,
    pub files: Vec<Upload>,
}

/// A file that came with a request.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    /// The one in `files[…]`.
    pub number: u64,
    pub name: String,
    pub content_type: Option<String>,
    pub bytes: Vec<u8>,
}

impl Call {
    /// An id of the path, which the description has checked.
    pub(super) fn id(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// A parameter of the path, decoded.
    pub(super) fn text(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(super) fn query_id(&self, name: &str) -> Option<u64> {
        self.query(name)?.parse().ok()
    }
}

/// An answer that accepts a request.
pub(super) enum Reply {
    Json(Value),
    Created(Value),
    Nothing,
}

/// An answer on its way out.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Answer {
            status,
            headers: vec![("content-type", "application/json".into())],
            body: Some(body.to_string()),
        }
    }

    fn build(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = self.body.map_or_else(Body::empty, Body::from);
        response.body(body).expect("a response")
    }
}

/// What was read of a request.
struct Raw {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers one request.
pub(super) async fn handle(
    inner: &Inner,
    cutter: Cutter,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(_) => Bytes::new(),
    };
    let full = head.uri.path();
    let raw = Raw {
        method: head.method.as_str().to_owned(),
        path: full.strip_prefix(PREFIX).unwrap_or(full).to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    let fault = inner.update(|state| {
        state.requests.push((raw.method.clone(), raw.path.clone()));
        if !full.starts_with(PREFIX) {
            state.blame(format!("{} {full}: not under {PREFIX}", raw.method));
        }
        state.fate.strike(&raw.method, &raw.path)
    });
    let answer = match fault {
        Some(Fault::DropBefore) => {
            cutter.cut();
            return Response::new(Body::empty());
        }
        Some(Fault::Refuse(status)) => refuse(status),
        Some(Fault::RefuseFor(status, code)) => {
            Answer::json(status, &json!({"message": "Refused", "code": code}))
        }
        Some(Fault::Limit {
            retry_after,
            shared,
        }) => too_many(
            retry_after,
            if shared { Scope::Shared } else { Scope::User },
        ),
        _ => process(inner, &raw),
    };
    let answer = match fault {
        Some(Fault::Garble) => Answer::json(answer.status, &json!({"id": "what nobody can read"})),
        _ => answer,
    };
    count_invalid(inner, &answer);
    match fault {
        Some(Fault::DropAfter) => cutter.cut(),
        Some(Fault::Stall(time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    answer.build()
}

/// A refusal without a look at the request, as from a proxy in front.
fn refuse(status: u16) -> Answer {
    match status {
        401 => Answer::json(401, &unauthorized().body()),
        403 => Answer::json(403, &missing_permissions().body()),
        404 => Answer::json(404, &not_found().body()),
        429 => too_many(1.0, Scope::User),
        500 => Answer::json(
            500,
            &json!({"message": "500: Internal Server Error", "code": 0}),
        ),
        _ => Answer {
            status,
            headers: vec![("content-type", "text/html".into())],
            body: Some(format!("<html><head><title>{status}</title></head></html>")),
        },
    }
}

/// 429. The header has whole seconds, the body fractions.
fn too_many(retry_after: f64, scope: Scope) -> Answer {
    let body = json!({
        "message": "You are being rate limited.",
        "retry_after": retry_after,
        "global": scope == Scope::Global,
    });
    let mut answer = Answer::json(429, &body);
    let whole = retry_after.ceil().max(1.0);
    answer.headers.push(("retry-after", format!("{whole}")));
    answer
        .headers
        .push(("x-ratelimit-scope", scope.name().to_owned()));
    if scope == Scope::Global {
        answer.headers.push(("x-ratelimit-global", "true".into()));
    }
    answer
}

/// 401, 403 and 429 count towards the block of the address, but for limits that others caused.
fn count_invalid(inner: &Inner, answer: &Answer) {
    let shared = answer
        .headers
        .contains(&("x-ratelimit-scope", "shared".into()));
    if matches!(answer.status, 401 | 403 | 429) && !shared {
        inner.update(|state| state.invalid.push_back(Instant::now()));
    }
}

fn process(inner: &Inner, raw: &Raw) -> Answer {
    if inner.update(blocked) {
        return Answer {
            status: 429,
            headers: vec![
                ("content-type", "text/plain".into()),
                ("retry-after", "600".into()),
            ],
            body: Some("error code: 1015".into()),
        };
    }
    let spec = Spec::shared();
    let mut complaints = Vec::new();
    let (operation, path) = match spec.find(&raw.method, &raw.path) {
        Found::Operation(operation, path) => (operation, path),
        Found::WrongMethod => return finish(inner, raw, Err(method_not_allowed().blame()), &[]),
        Found::Nothing => return finish(inner, raw, Err(not_found().blame()), &[]),
    };
    let agent = raw
        .headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok());
    if !agent.is_some_and(|agent| agent.starts_with("DiscordBot (")) {
        complaints.push(format!(
            "User-Agent isn't `DiscordBot (url, version)`: {agent:?}"
        ));
    }
    if needs_token(operation) && !inner.read(|state| authorized(state, &raw.headers)) {
        return finish(inner, raw, Err(unauthorized()), &complaints);
    }
    let class = Class::of(&operation.method, &operation.template);
    let major = [
        "channel_id",
        "guild_id",
        "webhook_token",
        "interaction_token",
    ]
    .iter()
    .find_map(|name| path.get(*name))
    .map_or("", String::as_str);
    let quota = inner.update(|state| {
        let limits = state.options.limits;
        let quota = state.limiter.take(&limits, class, major);
        state.limited += usize::from(quota.refused.is_some());
        quota
    });
    let mut answer = match quota.refused {
        Some(scope) => too_many(quota.reset_after.as_secs_f64(), scope),
        None => {
            let done = read_call(spec, operation, path, raw, &mut complaints)
                .and_then(|call| inner.update(|state| routes::route(state, &call)));
            finish(inner, raw, done, &complaints)
        }
    };
    rate_headers(&quota, &mut answer);
    answer
}

/// Whether too many invalid requests have blocked the address.
fn blocked(state: &mut State) -> bool {
    let window = Duration::from_secs(600);
    while state
        .invalid
        .front()
        .is_some_and(|at| at.elapsed() > window)
    {
        state.invalid.pop_front();
    }
    state.invalid.len() >= state.options.invalid_cap
}

/// Answers to interactions carry their own token, and the gateway's address is public.
fn needs_token(operation: &Operation) -> bool {
    let template = operation.template.as_str();
    let own_token = ["/interactions/", "/webhooks/{webhook_id}/{webhook_token}"];
    template != "/gateway" && !own_token.iter().any(|start| template.starts_with(start))
}

fn authorized(state: &State, headers: &HeaderMap) -> bool {
    let expected = format!("Bot {}", state.token);
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

/// Judges parameters and body by the description.
fn read_call(
    spec: &Spec,
    operation: &'static Operation,
    path: BTreeMap<String, String>,
    raw: &Raw,
    complaints: &mut Vec<String>,
) -> Result<Call, ApiError> {
    // serenity starts its queries with `&`.
    let pairs = raw.query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (percent_decode(name), percent_decode(value)))
        .collect();
    complaints.extend(spec.parameters(operation, &path, &query)?);
    let (body, files) = read_body(raw, complaints)?;
    complaints.extend(spec.body(operation, &body)?);
    Ok(Call {
        method: &operation.method,
        template: &operation.template,
        path,
        query,
        body,
        files,
    })
}

fn read_body(raw: &Raw, complaints: &mut Vec<String>) -> Result<(Value, Vec<Upload>), ApiError> {
    if raw.body.is_empty() {
        return Ok((Value::Null, vec![]));
    }
    let kind = raw.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
    if kind.starts_with("multipart/form-data") {
        return read_form(kind, &raw.body, complaints);
    }
    if !kind.starts_with("application/json") {
        complaints.push(format!("a body of type `{kind}`"));
    }
    let body = serde_json::from_slice(&raw.body).map_err(|_| invalid_json().blame())?;
    Ok((body, vec![]))
}

/// What Discord would pass over without a word becomes a complaint.
fn read_form(
    kind: &str,
    body: &[u8],
    complaints: &mut Vec<String>,
) -> Result<(Value, Vec<Upload>), ApiError> {
    let form = multipart::parse(kind, body).ok_or_else(|| invalid_json().blame())?;
    complaints.extend(
        form.others
            .iter()
            .map(|name| format!("a part `{name}` in a form")),
    );
    let json = form.payload_json.unwrap_or_else(|| {
        complaints.push("a form without `payload_json`".into());
        b"{}".to_vec()
    });
    let body = serde_json::from_slice(&json).map_err(|_| invalid_json().blame())?;
    let mut files: Vec<Upload> = Vec::new();
    for part in form.files {
        let number = part
            .field
            .strip_prefix("files[")
            .and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        let Some(number) =
            number.filter(|number| *number < 10 && files.iter().all(|file| file.number != *number))
        else {
            complaints.push(format!(
                "a file as `{}`, which is no `files[…]` or is there twice",
                part.field
            ));
            continue;
        };
        if part.bytes.len() > FILE_LIMIT {
            return Err(too_large().blame());
        }
        files.push(Upload {
            number,
            name: part.name,
            content_type: part.content_type,
            bytes: part.bytes,
        });
    }
    Ok((body, files))
}

/// Turns the outcome into an answer, and records what broke a rule.
fn finish(
    inner: &Inner,
    raw: &Raw,
    done: Result<Reply, ApiError>,
    complaints: &[String],
) -> Answer {
    let place = format!("{} {}", raw.method, raw.path);
    inner.update(|state| {
        for complaint in complaints {
            state.blame(format!("{place}: {complaint}"));
        }
    });
    match done {
        Ok(Reply::Json(body)) => Answer::json(200, &body),
        Ok(Reply::Created(body)) => Answer::json(201, &body),
        Ok(Reply::Nothing) => Answer {
            status: 204,
            headers: vec![],
            body: None,
        },
        Err(error) => {
            if error.fault_of_bot {
                let details = error
                    .errors
                    .as_ref()
                    .map(Value::to_string)
                    .unwrap_or_default();
                let (code, message) = (error.code, &error.message);
                inner.update(|s| s.blame(format!("{place}: {code} {message} {details}")));
            }
            Answer::json(error.status, &error.body())
        }
    }
}

fn rate_headers(quota: &Quota, answer: &mut Answer) {
    let after = quota.reset_after.as_secs_f64();
    let reset = now_ms() as f64 / 1000.0 + after;
    let bucket = (quota.class as u128 + 1) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced;
    answer.headers.extend([
        ("x-ratelimit-limit", quota.limit.to_string()),
        ("x-ratelimit-remaining", quota.remaining.to_string()),
        ("x-ratelimit-reset", format!("{reset:.3}")),
        ("x-ratelimit-reset-after", format!("{after:.3}")),
        ("x-ratelimit-bucket", format!("{bucket:032x}")),
    ]);
    if quota.refused.is_none() {
        answer
            .headers
            .push(("x-ratelimit-scope", Scope::User.name().into()));
    }
}
