//! Every error a client can meet: RFC 9457 problem details with a stable code.

use std::sync::LazyLock;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::response::Response;
use crate::error::Error;

const JSON_PROBLEM: &str = "application/problem+json";

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $title:literal $why:literal;)+) => {
        /// A problem's stable code, with the status, title and explanation that go with it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($variant),+ }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name),+ }
            }

            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status),+ }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }

            /// What `GET /problems/<code>` tells a person.
            pub const fn explanation(self) -> &'static str {
                match self { $(Code::$variant => $why),+ }
            }
        }
    };
}

codes! {
    BodyTooLarge "body_too_large" 413 "Body too large"
        "A body may have 1,024 bytes at most. The connection is closed, because the rest of the body was not read.";
    ExpectationFailed "expectation_failed" 417 "Expectation failed"
        "The one thing that a request can expect is 100-continue.";
    BadRequest "bad_request" 400 "Bad request"
        "The request is not well-formed HTTP/1.0 or HTTP/1.1, for example because it has no Host or two lengths.";
    VersionNotSupported "version_not_supported" 505 "HTTP version not supported"
        "This port speaks HTTP/1.1 and HTTP/1.0. For HTTP/2 or HTTP/3 put a proxy in front.";
    RateLimited "rate_limited" 429 "Too many requests"
        "Your address has used up its requests for this window. Wait as many seconds as Retry-After says.";
    RouteNotFound "route_not_found" 404 "No such route"
        "There is nothing at this path. Paths have no slash at their end, and ids no zeros in front.";
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed"
        "This path exists, but not for this method. The Allow header lists those it has.";
    Unauthorized "unauthorized" 401 "Unauthorized"
        "This takes a key, and none was sent, or one that is unknown or revoked. Send Authorization: Bearer <key>; whoever runs the server makes keys with lastseat key add.";
    Forbidden "forbidden" 403 "Forbidden"
        "The role that the X-Role header names, or that the key has, may not do this, or there is none. The member required_role names the one that may; admin may do everything.";
    UnsupportedMediaType "unsupported_media_type" 415 "Unsupported media type"
        "A body must be JSON: send it with Content-Type: application/json.";
    InvalidJson "invalid_json" 400 "Invalid JSON"
        "The body is not a JSON text.";
    InvalidRequest "invalid_request" 400 "Invalid request"
        "A member of the body, a query parameter or the idempotency key is unknown, missing, of the wrong type or out of range. The detail names it.";
    EventNotFound "event_not_found" 404 "No such event"
        "There is no event with this id.";
    TicketNotFound "ticket_not_found" 404 "No such ticket"
        "There is no ticket with this id.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "Idempotency key reused"
        "This Idempotency-Key was used for a different request. Use a new key for each new request, and the same one only to repeat it.";
    PreconditionFailed "precondition_failed" 412 "Precondition failed"
        "The event has changed since the ETag was sent that If-Match names. Show it again, and decide anew.";
    EventCancelled "event_cancelled" 409 "Event cancelled"
        "The organizer has cancelled the event.";
    SalesNotOpen "sales_not_open" 409 "Sales not open yet"
        "Tickets cannot be had yet. The member opens_at says when.";
    SalesClosed "sales_closed" 409 "Sales closed"
        "Tickets cannot be had any more. The member closed_at says since when.";
    AlreadyRegistered "already_registered" 409 "Already registered"
        "This e-mail address holds a live ticket for the event. A hold that expired or was cancelled does not count.";
    SoldOut "sold_out" 409 "Sold out"
        "Fewer spots are free than were asked for: the member available_spots says how many, and waiting how many are in line, who come first; register with wait to join them. If next_expiry is not null, a hold ends then, and its spots may come back.";
    LineFull "line_full" 409 "Line full"
        "As many are in line as the event's waiting_max allows. The member waiting says how many.";
    CapacityBelowCommitted "capacity_below_committed" 409 "Capacity below what is committed"
        "More spots are held or confirmed than the event would have. The member minimum says how many; cancel tickets first, or ask for at least as many spots.";
    HoldExpired "hold_expired" 410 "Hold expired"
        "The spot was held for you until expired_at and is on sale again. Register anew.";
    TicketCancelled "ticket_cancelled" 409 "Ticket cancelled"
        "The ticket has been cancelled, and that is final.";
    AlreadyConfirmed "already_confirmed" 409 "Already confirmed"
        "The ticket was confirmed before: with another payment_ref, or so that its hold cannot be extended any more.";
    ExtensionRefused "extension_refused" 409 "Extension refused"
        "A hold lasts for the event's hold_seconds_max at most, and this one does. The member expires_at says until when.";
    TicketWaiting "ticket_waiting" 409 "Still in line"
        "The ticket is in line, and no spot is held for it yet. Show it again: as soon as its status is reserved it can be confirmed.";
    EmailMismatch "email_mismatch" 409 "E-mail mismatch"
        "The e-mail address that was given is not the ticket's.";
    NotConfirmed "not_confirmed" 409 "Not confirmed"
        "Only a confirmed ticket lets its holder in. The member ticket_status says what it is instead.";
    AlreadyCheckedIn "already_checked_in" 409 "Already checked in"
        "Fewer of the ticket's spots are left than were asked for: the member spots says how many it has, and checked_in_spots how many have been used to come in, the first at checked_in_at. Each lets in once, and the ticket cannot be given back after that.";
    Overloaded "overloaded" 503 "Overloaded"
        "The server has as much to do as it can take on. Nothing was sold; retry after Retry-After, with the same Idempotency-Key.";
    StreamsFull "streams_full" 503 "Too many streams"
        "As many clients follow what happens as the server takes on at once. Retry after Retry-After, or ask now and then instead.";
    StorageUnavailable "storage_unavailable" 503 "Storage unavailable"
        "The database cannot be written now. Nothing was sold; retry with the same Idempotency-Key.";
    OutcomeUnknown "outcome_unknown" 503 "Outcome unknown"
        "The connection to the database was lost while it was written, so that nobody can tell yet whether it was. Send the request again with the same Idempotency-Key, and learn it.";
    ShuttingDown "shutting_down" 503 "Shutting down"
        "The server is stopping. Nothing was sold; retry with the same Idempotency-Key.";
    InternalError "internal_error" 500 "Internal error"
        "A bug. It is in the log under the request_id.";
}

impl Code {
    /// The path that explains this code; the problem's `type`.
    pub fn path(self) -> &'static str {
        static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
            let path = |code: &Code| format!("/problems/{}", code.as_str().replace('_', "-"));
            Code::ALL.iter().map(path).collect()
        });
        &PATHS[self as usize]
    }

    /// The other way round, for the last segment of such a path.
    pub fn from_slug(slug: &str) -> Option<Code> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.as_str().replace('_', "-") == slug)
    }
}

/// One problem, as it happened. `cause` is for the log only.
#[derive(Clone, Debug)]
pub struct Problem {
    pub code: Code,
    detail: String,
    members: Vec<(&'static str, Value)>,
    headers: Vec<(&'static str, String)>,
    pub cause: Option<String>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        let (members, headers) = (Vec::new(), Vec::new());
        Problem {
            code,
            detail: detail.into(),
            members,
            headers,
            cause: None,
        }
    }

    pub fn member(mut self, name: &'static str, value: Value) -> Problem {
        self.members.push((name, value));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Problem {
        self.headers.push((name, value.into()));
        self
    }

    fn because(mut self, cause: String) -> Problem {
        self.cause = Some(cause);
        self
    }

    pub fn body_too_large() -> Problem {
        Problem::new(Code::BodyTooLarge, "a body may have 1,024 bytes at most")
    }

    /// `base_path` is where the server is mounted.
    pub fn into_response(self, request_id: &str, base_path: &str) -> Response {
        let body = Body {
            problem: &self,
            request_id,
            base_path,
        };
        let mut response = Response::json(self.code.status(), &body);
        response.content_type = Some(JSON_PROBLEM);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response
    }
}

struct Body<'p> {
    problem: &'p Problem,
    request_id: &'p str,
    base_path: &'p str,
}

impl Serialize for Body<'_> {
    /// RFC 9457, 3.1 and 3.2. (Derived and flattened, it would cost a refused buyer twice as much.)
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let code = self.problem.code;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("{}{}", self.base_path, code.path()))?;
        map.serialize_entry("title", code.title())?;
        map.serialize_entry("status", &code.status())?;
        map.serialize_entry("detail", &self.problem.detail)?;
        map.serialize_entry("code", code.as_str())?;
        map.serialize_entry("request_id", self.request_id)?;
        for (name, value) in &self.problem.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let text = error.to_string();
        let plain = |code| Problem::new(code, text);
        let retry = |code, detail: &str| Problem::new(code, detail).header("Retry-After", "1");
        match error {
            Error::EventNotFound => plain(Code::EventNotFound),
            Error::TicketNotFound => plain(Code::TicketNotFound),
            Error::IdempotencyKeyReused => plain(Code::IdempotencyKeyReused),
            Error::PreconditionFailed => plain(Code::PreconditionFailed),
            Error::EventCancelled => plain(Code::EventCancelled),
            Error::SalesNotOpen { opens_at } => {
                plain(Code::SalesNotOpen).member("opens_at", json!(opens_at))
            }
            Error::SalesClosed { closed_at } => {
                plain(Code::SalesClosed).member("closed_at", json!(closed_at))
            }
            Error::AlreadyRegistered => plain(Code::AlreadyRegistered),
            Error::SoldOut {
                available_spots,
                waiting,
                next_expiry,
            } => plain(Code::SoldOut)
                .member("available_spots", json!(available_spots))
                .member("waiting", json!(waiting))
                .member("next_expiry", json!(next_expiry)),
            Error::LineFull { waiting } => plain(Code::LineFull).member("waiting", json!(waiting)),
            Error::TicketWaiting => plain(Code::TicketWaiting),
            Error::SalesWindowInvalid
            | Error::PartyTooLarge { .. }
            | Error::PartNotSmaller { .. } => plain(Code::InvalidRequest),
            Error::CapacityBelowCommitted { minimum } => {
                plain(Code::CapacityBelowCommitted).member("minimum", json!(minimum))
            }
            Error::HoldExpired { expired_at } => {
                plain(Code::HoldExpired).member("expired_at", json!(expired_at))
            }
            Error::TicketCancelled => plain(Code::TicketCancelled),
            Error::EmailMismatch => plain(Code::EmailMismatch),
            Error::NotConfirmed { status } => {
                plain(Code::NotConfirmed).member("ticket_status", json!(status))
            }
            Error::AlreadyCheckedIn {
                checked_in_at,
                spots,
                checked_in_spots,
            } => plain(Code::AlreadyCheckedIn)
                .member("checked_in_at", json!(checked_in_at))
                .member("spots", json!(spots))
                .member("checked_in_spots", json!(checked_in_spots)),
            Error::AlreadyConfirmed { payment_ref } => {
                plain(Code::AlreadyConfirmed).member("payment_ref", json!(payment_ref))
            }
            Error::ExtensionRefused { expires_at } => {
                plain(Code::ExtensionRefused).member("expires_at", json!(expires_at))
            }
            Error::Overloaded => retry(
                Code::Overloaded,
                "too many requests wait for the disk; nothing was sold",
            ),
            Error::StorageUnavailable(cause) | Error::DiskFailed(cause) => retry(
                Code::StorageUnavailable,
                "the database cannot be written; nothing was sold",
            )
            .because(cause),
            Error::ShuttingDown => retry(
                Code::ShuttingDown,
                "the server is stopping; nothing was sold",
            ),
            Error::Conflict(cause) => retry(
                Code::StorageUnavailable,
                "other servers sell the same at the same time; nothing was sold",
            )
            .because(cause),
            Error::OutcomeUnknown(cause) => retry(
                Code::OutcomeUnknown,
                "the connection to the database was lost while it was written; send it again with \
                 the same Idempotency-Key, and learn what became of it",
            )
            .because(cause),
            // The commit queue keeps it to itself.
            Error::Unfinished => plain(Code::InternalError),
            Error::Internal(cause) => Problem::new(
                Code::InternalError,
                "a bug; it is logged under this request_id",
            )
            .because(cause),
        }
    }
}
