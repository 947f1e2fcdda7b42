//! Pages of other origins that may call (the Fetch standard's CORS protocol, fetch.spec.whatwg.org).

use crate::message::{Field, Headers, Request, Response};

/// What a page may send, beside what any page may.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, X-Role, traceparent";
/// What a page may read, beside what any page may.
const EXPOSED_HEADERS: &str = "Location, Link, Retry-After, RateLimit, RateLimit-Policy, ETag, X-Request-Id, Idempotent-Replayed, Ticket-Status";
/// A browser asks again after a day at the latest, and Chromium after two hours.
const PREFLIGHT_HOLDS_S: &str = "7200";

/// An origin as browsers write it, or `*`.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowedOrigin(String);

impl AllowedOrigin {
    pub fn parse(text: &str) -> Result<AllowedOrigin, String> {
        let origin = text.to_ascii_lowercase();
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| origin.strip_prefix(scheme));
        let is_host = |host: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
            !host.is_empty() && host.bytes().all(allowed)
        };
        match origin == "*" || host.is_some_and(is_host) {
            true => Ok(AllowedOrigin(origin)),
            false => {
                Err("expected *, or an origin without a path, as in https://shop.example".into())
            }
        }
    }
}

/// Empty: nobody but pages from the same origin.
pub struct Cors(pub Vec<AllowedOrigin>);

impl Cors {
    /// Whether a browser asks beforehand what a page may do. It costs nothing, so it counts for
    /// nothing.
    pub fn is_preflight(&self, request: &Request) -> bool {
        let headers = &request.head.headers;
        request.head.method == "OPTIONS"
            && headers.one("Access-Control-Request-Method") != Field::Absent
            && self.allowed(origin(headers)).is_some()
    }

    /// `allow` are the methods that there are.
    pub fn answer_preflight(response: Response, allow: &str) -> Response {
        response
            .header("Access-Control-Allow-Methods", allow)
            .header("Access-Control-Allow-Headers", ALLOWED_HEADERS)
            .header("Access-Control-Max-Age", PREFLIGHT_HOLDS_S)
    }

    /// Whether answers differ from origin to origin.
    pub fn varies(&self) -> bool {
        !self.0.is_empty() && !self.allows_all()
    }

    pub fn add_to(&self, response: Response, origin: Option<&str>) -> Response {
        let Some(allowed) = self.allowed(origin) else {
            return response;
        };
        response
            .header("Access-Control-Allow-Origin", allowed)
            .header("Access-Control-Expose-Headers", EXPOSED_HEADERS)
    }

    fn allows_all(&self) -> bool {
        self.0.iter().any(|allowed| allowed.0 == "*")
    }

    fn allowed(&self, origin: Option<&str>) -> Option<&str> {
        let origin = origin?;
        if self.allows_all() {
            return Some("*");
        }
        self.0
            .iter()
            .map(|allowed| allowed.0.as_str())
            .find(|allowed| *allowed == origin)
    }
}

pub fn origin(headers: &Headers) -> Option<&str> {
    match headers.one("Origin") {
        Field::Once(origin) => Some(origin),
        _ => None,
    }
}
