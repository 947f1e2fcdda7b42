//! Who asks: the role that `X-Role` asserts, or the one that a key proves.

use serde_json::json;

use super::rate_limit::Standing;
use super::state::{Auth, Context, State};
use crate::box_office;
use crate::error::Error;
use crate::message::{ClientAddress, Code, Field, Headers, Problem};
use crate::model::{ApiKey, KeyHolder, Role, TicketId};
use crate::store::Tx;

/// Who asks, once it is known that they may.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Caller {
    /// The API key that the caller has proved to hold.
    pub key_id: Option<i64>,
    /// Set for an organizer with a key, who reaches nothing but the events made with it.
    pub organizer_key: Option<i64>,
}

/// Whose thing the `{id}` in a path has to be, if an organizer's key asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    Everything,
    OwnEvents,
    TicketsOfOwnEvents,
}

/// Whether no role and no key is shown, and none is needed: the event that the path leads to is sold
/// to anybody.
pub fn is_public_sale(
    context: &Context,
    headers: &Headers,
    reach: Reach,
    id: &str,
) -> Result<bool, Problem> {
    let name = match context.state.settings.auth {
        Auth::Role => "X-Role",
        Auth::Key => "Authorization",
    };
    if headers.one(name) != Field::Absent {
        return Ok(false);
    }
    let is_public = context.db.read(|tx| match reach {
        Reach::Everything => Ok(false),
        Reach::OwnEvents => box_office::is_public_event(tx, id.parse().unwrap_or(0)),
        Reach::TicketsOfOwnEvents => match TicketId::parse(id) {
            Some(id) => box_office::is_public_ticket(tx, &id),
            None => Ok(false),
        },
    })?;
    Ok(is_public)
}

/// `required` None: anyone may, also without a key. A key that is sent is looked at all the same.
///
/// Errors, in this order: `unauthorized`, `forbidden`.
pub fn authorize(
    context: &Context,
    headers: &Headers,
    required: Option<Role>,
) -> Result<Caller, Problem> {
    match context.state.settings.auth {
        Auth::Role => by_header(headers, required),
        Auth::Key => by_key(context, headers, required),
    }
}

fn by_header(headers: &Headers, required: Option<Role>) -> Result<Caller, Problem> {
    let Some(required) = required else {
        return Ok(Caller::default());
    };
    let role = match headers.one("X-Role") {
        Field::Once(name) => Role::parse(name),
        _ => None,
    };
    match role {
        Some(role) if role.may_act_as(required) => Ok(Caller::default()),
        _ => Err(forbidden(
            required,
            format!("this takes the header X-Role: {required}"),
        )),
    }
}

fn by_key(context: &Context, headers: &Headers, required: Option<Role>) -> Result<Caller, Problem> {
    let holder = match headers.one("Authorization") {
        Field::Absent => None,
        Field::Once(credentials) => Some(recognise(context, credentials)?),
        Field::Repeated => {
            let detail = "send one Authorization header";
            return Err(unauthorized(detail, Some("invalid_request")));
        }
    };
    match (holder, required) {
        (None, Some(_)) => {
            let detail = "this takes a key: Authorization: Bearer <key>";
            Err(unauthorized(detail, None))
        }
        (Some(holder), Some(required)) if !holder.role.may_act_as(required) => Err(forbidden(
            required,
            format!("this takes a key with the role {required}"),
        )
        .header(
            "WWW-Authenticate",
            format!(
                "Bearer realm=\"lastseat\", error=\"insufficient_scope\", scope=\"{required}\""
            ),
        )),
        (holder, _) => Ok(Caller {
            key_id: holder.map(|h| h.key_id),
            organizer_key: holder
                .filter(|h| h.role == Role::Organizer)
                .map(|h| h.key_id),
        }),
    }
}

fn parse_bearer(credentials: &str) -> Option<ApiKey> {
    let (scheme, key) = credentials.split_once(' ')?;
    // RFC 9110, 11.1: the scheme's name has no case.
    let is_bearer = scheme.eq_ignore_ascii_case("Bearer");
    ApiKey::parse(key.trim()).filter(|_| is_bearer)
}

fn recognise(context: &Context, credentials: &str) -> Result<KeyHolder, Problem> {
    let holder = match parse_bearer(credentials) {
        Some(key) => context
            .db
            .read(|tx| box_office::find_key_holder(tx, &key))?,
        None => None,
    };
    holder.ok_or_else(|| unauthorized("the key is unknown or revoked", Some("invalid_token")))
}

/// Counts a request against the rate limit: for the organizer's key that it bears, because the doors of
/// an event share an address, and so perhaps with its visitors; otherwise for its address. None: no
/// limit holds.
///
/// Only a key that the store knows is one, which is asked for each request: on the connections of
/// the exports, so that whoever makes keys up keeps no worker from selling.
pub fn admit(state: &State, headers: &Headers, client: ClientAddress) -> Option<Standing> {
    let by_address = state.limiter.as_ref()?;
    let key_id = match (state.settings.auth, headers.one("Authorization")) {
        (Auth::Key, Field::Once(credentials)) => find_organizer(state, credentials),
        _ => None,
    };
    match key_id {
        Some(key_id) => Some(state.key_limiter.as_ref()?.admit(key_id, &state.clock)),
        None => Some(by_address.admit(client.limited_as(), &state.clock)),
    }
}

fn find_organizer(state: &State, credentials: &str) -> Option<i64> {
    let key = parse_bearer(credentials)?;
    let find = |tx: &Tx| box_office::find_key_holder(tx, &key);
    let holder = state.read_for_export(|db| db.read(find)).ok()??;
    let is_organizer = holder.role.may_act_as(Role::Organizer);
    is_organizer.then_some(holder.key_id)
}

/// Whether the thing in the path is within the caller's reach. What is not, is not there.
///
/// Errors: `event_not_found`, `ticket_not_found`.
pub fn check_reach(
    context: &Context,
    caller: Caller,
    reach: Reach,
    id: &str,
) -> Result<(), Problem> {
    let Some(key_id) = caller.organizer_key else {
        return Ok(());
    };
    let (owns, missing) = match reach {
        Reach::Everything => return Ok(()),
        Reach::OwnEvents => {
            let event_id = id.parse().unwrap_or(0);
            let owns = context
                .db
                .read(|tx| box_office::owns_event(tx, key_id, event_id))?;
            (owns, Error::EventNotFound)
        }
        Reach::TicketsOfOwnEvents => {
            let owns = match TicketId::parse(id) {
                Some(id) => context
                    .db
                    .read(|tx| box_office::owns_ticket(tx, key_id, &id))?,
                None => false,
            };
            (owns, Error::TicketNotFound)
        }
    };
    match owns {
        true => Ok(()),
        false => Err(missing.into()),
    }
}

/// RFC 6750, 3: whoever sent no key is not told of an error.
fn unauthorized(detail: &str, error: Option<&str>) -> Problem {
    let mut challenge = "Bearer realm=\"lastseat\"".to_owned();
    if let Some(error) = error {
        challenge += &format!(", error=\"{error}\"");
    }
    Problem::new(Code::Unauthorized, detail).header("WWW-Authenticate", challenge)
}

fn forbidden(required: Role, detail: String) -> Problem {
    Problem::new(Code::Forbidden, detail).member("required_role", json!(required))
}
