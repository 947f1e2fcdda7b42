//! Request bodies: one type a body, which says what its members are and refuses all others.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::message::{Code, Problem, Request};

const DETAIL_CHARS_MAX: usize = 200;
/// RFC 7396. For PATCH, as which it is the same as plain JSON here: a null takes away what can be.
const MERGE_PATCH: &str = "application/merge-patch+json";
/// What PATCH takes (RFC 5789, 3.1).
pub const ACCEPT_PATCH: &str = "application/merge-patch+json, application/json";

/// Errors: `unsupported_media_type`, then `invalid_json`, then `invalid_request` for a JSON text that
/// is no object, names a member twice, or does not say what `T` asks for. The member is named.
pub fn parse<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let declared = declared_as(request);
    if declared == Declared::SomethingElse {
        return Err(not_json(request));
    }
    let body = request.body.as_slice();
    // A JSON array would do for any type that has as many members.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let why = match serde_json::from_slice(body) {
        Ok(value) if is_object => return Ok(value),
        Ok(_) => None,
        Err(e) => Some(e),
    };
    // The wrong shape may be told before the text has been read to its end.
    if serde_json::from_slice::<Value>(body).is_ok() {
        let detail = match is_object {
            true => name_member::<T>(body),
            false => "the body must be a JSON object".to_owned(),
        };
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let detail = match why {
        _ if declared == Declared::Form => return Err(not_json(request)),
        _ if body.is_empty() => "the body is empty".to_owned(),
        Some(e) => format!("the body is not JSON: {}", shown(e)),
        None => "the body is not JSON".to_owned(),
    };
    Err(Problem::new(Code::InvalidJson, detail))
}

/// The same, where an empty body is as good as `{}`.
pub fn parse_optional<T: DeserializeOwned + Default>(request: &Request) -> Result<T, Problem> {
    if request.body.is_empty() {
        return Ok(T::default());
    }
    parse(request)
}

/// What is wrong with a body, and where. A second look, so that no good body pays for it.
fn name_member<T: DeserializeOwned>(body: &[u8]) -> String {
    let mut json = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Ok(_) => "the body is not what was expected".to_owned(),
        Err(e) if e.path().iter().next().is_none() => shown(e.into_inner()),
        Err(e) => shown(format_args!("{} {}", e.path(), e.inner())),
    }
}

/// What may quote the client, short enough to be sent back, and harmless on a terminal.
fn shown(text: impl Display) -> String {
    let text = text.to_string();
    let harmless = text.chars().take(DETAIL_CHARS_MAX);
    harmless
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The problem with one member, named.
pub fn invalid(name: &str, why: &str) -> Problem {
    Problem::new(Code::InvalidRequest, format!("{name} {why}"))
}

#[derive(Clone, Copy, PartialEq)]
enum Declared {
    Json,
    Form,
    SomethingElse,
}

/// `curl -d` says it sends a form, and means JSON.
fn declared_as(request: &Request) -> Declared {
    let Some(content_type) = request.head.headers.all("Content-Type").next() else {
        return Declared::Json;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| media_type.eq_ignore_ascii_case(name);
    if is("application/json") || request.head.method == "PATCH" && is(MERGE_PATCH) {
        Declared::Json
    } else if is("application/x-www-form-urlencoded") {
        Declared::Form
    } else {
        Declared::SomethingElse
    }
}

fn not_json(request: &Request) -> Problem {
    let detail = "the body must be JSON, with Content-Type: application/json";
    let problem = Problem::new(Code::UnsupportedMediaType, detail);
    match request.head.method {
        "PATCH" => problem.header("Accept-Patch", ACCEPT_PATCH),
        _ => problem,
    }
}
