//! Request bodies: a JSON object whose members are taken one by one, each checked as it is taken.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use crate::message::{Code, Problem, Request};
use crate::model::Timestamp;

/// The members of a body that have not been taken yet.
pub struct Members(Vec<(String, Value)>);

impl Members {
    /// Errors: `unsupported_media_type`, then `invalid_json`, then `invalid_request` for a JSON
    /// text that is no object or names a member twice.
    pub fn parse(request: &Request) -> Result<Members, Problem> {
        let body = request.body.as_slice();
        let declared = declared_as(request.head.headers.all("Content-Type").next());
        if declared == Declared::SomethingElse {
            return Err(not_json());
        }
        serde_json::from_slice(body).map_err(|e| match (declared, e.classify()) {
            (_, Category::Data) if is_json(body) => {
                Problem::new(Code::InvalidRequest, describe(&e))
            }
            (Declared::Form, _) => not_json(),
            _ if body.is_empty() => Problem::new(Code::InvalidJson, "the body is empty"),
            _ => Problem::new(Code::InvalidJson, describe(&e)),
        })
    }

    /// The same, where an empty body is as good as `{}`.
    pub fn parse_optional(request: &Request) -> Result<Members, Problem> {
        if request.body.is_empty() {
            return Ok(Members(Vec::new()));
        }
        Members::parse(request)
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "must be a string")),
        }
    }

    pub fn integer(&mut self, name: &str, min: i64, max: i64) -> Result<Option<i64>, Problem> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_i64().filter(|n| (min..=max).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(invalid(
                name,
                &format!("must be a whole number from {min} to {max}"),
            )),
        }
    }

    pub fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let time = Timestamp::parse(&text);
        let time =
            time.ok_or_else(|| invalid(name, "must be a time, as in 2026-11-23T09:30:00Z"))?;
        Ok(Some(time))
    }

    /// A time that can be taken away: `Some(None)` for a null.
    pub fn time_or_null(&mut self, name: &str) -> Result<Option<Option<Timestamp>>, Problem> {
        if self.0.iter().any(|(n, value)| n == name && value.is_null()) {
            self.take(name);
            return Ok(Some(None));
        }
        Ok(self.time(name)?.map(Some))
    }

    /// Call it when all that is known has been taken.
    pub fn none_left(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(&shown(name), "is not a member of this request")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// The problem with one member, named.
pub fn invalid(name: &str, why: &str) -> Problem {
    Problem::new(Code::InvalidRequest, format!("{name} {why}"))
}

pub fn required<T>(value: Option<T>, name: &str) -> Result<T, Problem> {
    value.ok_or_else(|| invalid(name, "is missing"))
}

#[derive(Clone, Copy, PartialEq)]
enum Declared {
    Json,
    Form,
    SomethingElse,
}

/// `curl -d` says it sends a form, and means JSON.
fn declared_as(content_type: Option<&str>) -> Declared {
    let Some(content_type) = content_type else {
        return Declared::Json;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Declared::Json
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Declared::Form
    } else {
        Declared::SomethingElse
    }
}

/// The wrong shape may be told before the text has been read to its end.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

fn not_json() -> Problem {
    Problem::new(
        Code::UnsupportedMediaType,
        "the body must be JSON, with Content-Type: application/json",
    )
}

fn describe(error: &serde_json::Error) -> String {
    format!("the body is not what was expected: {error}")
}

/// A client's own text, short enough to be sent back.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("{short:?}")
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    /// JSON leaves open what a repeated member means (RFC 8259, 4), so it is refused.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members: Vec<(String, Value)> = Vec::with_capacity(4);
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.iter().any(|(n, _)| *n == name) {
                return Err(A::Error::custom(format!(
                    "the member {} is repeated",
                    shown(&name)
                )));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
