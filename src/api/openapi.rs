//! `GET /openapi.json`: the contract for programs (OpenAPI 3.1). It is made from the table of
//! endpoints and the list of problems.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, ROUTES, Reach, Route};
use super::schemas::{example, schema_of, schemas};
use crate::message::Code;

/// Any request may meet these.
const ANYWHERE: &[Code] = &[
    Code::BadRequest,
    Code::MethodNotAllowed,
    Code::BodyTooLarge,
    Code::ExpectationFailed,
    Code::VersionNotSupported,
    Code::InternalError,
    Code::Overloaded,
    Code::StorageUnavailable,
    Code::OutcomeUnknown,
    Code::ShuttingDown,
];
/// And these, whoever sends a body.
const OF_A_BODY: &[Code] = &[
    Code::UnsupportedMediaType,
    Code::InvalidJson,
    Code::InvalidRequest,
    Code::IdempotencyKeyReused,
];

pub fn document() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let mut operations = Map::new();
        for endpoint in route.endpoints {
            let name = endpoint.method.to_lowercase();
            operations.insert(name, operation(route, endpoint));
        }
        paths.insert(route.path.to_owned(), operations.into());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lastseat",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Sells the last seat exactly once. HEAD works wherever GET does; OPTIONS answers 204 with Allow.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "role": {"type": "apiKey", "in": "header", "name": "X-Role",
                         "description": "organizer, user or admin; believed unless the server runs with --auth key"},
                "key": {"type": "http", "scheme": "bearer", "description": "with --auth key"},
            },
        },
    })
}

fn operation(route: &Route, endpoint: &Endpoint) -> Value {
    let mut problems: Vec<Code> = ANYWHERE.to_vec();
    if route.is_limited {
        problems.push(Code::RateLimited);
        problems.push(Code::Unauthorized);
    }
    if endpoint.role.is_some() {
        problems.push(Code::Forbidden);
    }
    if endpoint.body.is_some() {
        problems.extend(OF_A_BODY);
    }
    problems.extend(endpoint.problems);
    let mut operation = json!({
        "summary": endpoint.summary,
        "parameters": parameters(route, endpoint),
        "responses": responses(route, endpoint, &problems),
        "security": match endpoint.role {
            None => json!([]),
            Some(role) => json!([{"role": [role.as_str()]}, {"key": [role.as_str()]}]),
        },
    });
    if let Some((schema, required)) = endpoint.body {
        operation["requestBody"] = json!({
            "required": required,
            "content": {"application/json": {"schema": schema_of(schema), "example": example(schema)}},
        });
    }
    operation
}

fn parameters(route: &Route, endpoint: &Endpoint) -> Vec<Value> {
    let mut parameters = Vec::new();
    let parameter = |place: &str, name: &str, schema: Value| json!({"in": place, "name": name, "required": place == "path", "schema": schema});
    let is_get = endpoint.method == "GET";
    if route.reach == Reach::OwnEvents {
        let id = json!({"type": "integer", "minimum": 1, "format": "int64"});
        parameters.push(parameter("path", "id", id));
    } else if route.reach == Reach::TicketsOfOwnEvents {
        parameters.push(parameter(
            "path",
            "id",
            json!({"type": "string", "format": "uuid"}),
        ));
    } else if route.path.contains("{id}") {
        let slugs: Vec<String> = Code::ALL.iter().map(|code| slug(*code)).collect();
        parameters.push(parameter(
            "path",
            "id",
            json!({"type": "string", "enum": slugs}),
        ));
    }
    if let (true, Some(list)) = (
        is_get,
        [("/events", "e"), ("/events/{id}/tickets", "t")]
            .iter()
            .find(|l| l.0 == route.path),
    ) {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50});
        parameters.push(parameter("query", "limit", limit));
        let cursor = json!({"type": "string", "pattern": format!("^{}[0-9]{{1,18}}$", list.1)});
        parameters.push(parameter("query", "after", cursor));
    }
    if route.path == "/events/{id}/tickets" {
        parameters.push(parameter(
            "query",
            "status",
            json!({"enum": ["reserved", "confirmed", "cancelled"]}),
        ));
    }
    if !is_get {
        let key = json!({"type": "string", "pattern": "^[!#-~][!-~]{0,254}$"});
        parameters.push(parameter("header", "Idempotency-Key", key));
    }
    parameters
}

fn responses(route: &Route, endpoint: &Endpoint, problems: &[Code]) -> Value {
    let content = match endpoint.answer {
        None => json!({"text/plain": {"schema": {"type": "string"}}}),
        Some(schema) => {
            let mut content = json!({"application/json": {"schema": schema_of(schema), "example": example(schema)}});
            if schema == "Tickets" {
                content["text/csv"] = json!({"schema": {"type": "string"}});
            }
            content
        }
    };
    let mut headers = headers(route);
    let mut more = |name: &str, what: &str| headers.insert(name.into(), header(what));
    if endpoint.status == 201 {
        more("Location", "Where the new thing is");
    }
    if endpoint.method != "GET" {
        more(
            "Idempotent-Replayed",
            "true: the first answer to this key, again",
        );
    }
    if endpoint.method != "GET" && endpoint.answer == Some("Ticket") {
        more(
            "Ticket-Status",
            "On a replay: what the ticket is by now (reserved, confirmed or cancelled)",
        );
    }
    if matches!(endpoint.answer, Some("Events" | "Tickets")) {
        more("Link", "The next page, as rel=\"next\", if there is one");
    }
    if endpoint.answer == Some("Tickets") {
        more("Vary", "Accept");
    }
    let mut responses = Map::new();
    let done = json!({"description": endpoint.summary, "headers": headers, "content": content});
    responses.insert(endpoint.status.to_string(), done);
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in problems {
        by_status.entry(code.status()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        responses.insert(status.to_string(), refusal(route, status, &codes));
    }
    responses.into()
}

fn refusal(route: &Route, status: u16, codes: &[Code]) -> Value {
    let mut headers = headers(route);
    let more = match status {
        401 => Some(("WWW-Authenticate", "Bearer")),
        405 => Some(("Allow", "The methods that there are")),
        429 | 503 => Some(("Retry-After", "Seconds")),
        _ => None,
    };
    if let Some((name, what)) = more {
        headers.insert(name.into(), header(what));
    }
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let examples: Map<String, Value> = codes
        .iter()
        .map(|code| {
            (
                code.as_str().to_owned(),
                json!({"value": problem_example(*code)}),
            )
        })
        .collect();
    let schema = json!({
        "allOf": [schema_of("Problem"), {"properties": {"code": {"enum": names}}}],
    });
    json!({
        "description": titles.join("; "),
        "headers": headers,
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    })
}

fn headers(route: &Route) -> Map<String, Value> {
    let mut headers = Map::new();
    let mut add = |name: &str, what: &str| headers.insert(name.into(), header(what));
    add(
        "X-Request-Id",
        "The caller's, or a new one; also on the log line",
    );
    if route.is_limited {
        add(
            "RateLimit-Policy",
            "Requests (q) in a window of seconds (w), unless it is off",
        );
        add(
            "RateLimit",
            "Requests left (r), and seconds until there are more (t)",
        );
    }
    headers
}

fn header(what: &str) -> Value {
    json!({"description": what, "schema": {"type": "string"}})
}

fn slug(code: Code) -> String {
    code.as_str().replace('_', "-")
}

fn problem_example(code: Code) -> Value {
    let mut problem = json!({
        "type": code.path(), "title": code.title(), "status": code.status(),
        "detail": code.explanation(), "code": code.as_str(),
        "request_id": "89003820-0807-42f7-a85a-263d9812e3e6",
    });
    let time = json!("2026-11-23T09:30:00.000Z");
    let (member, value) = match code {
        Code::Forbidden => ("required_role", json!("user")),
        Code::SalesNotOpen => ("opens_at", time),
        Code::SalesClosed => ("closed_at", time),
        Code::SoldOut => ("next_expiry", time),
        Code::CapacityBelowCommitted => ("minimum", json!(3)),
        Code::HoldExpired => ("expired_at", time),
        Code::NotConfirmed => ("ticket_status", json!("reserved")),
        Code::AlreadyCheckedIn => ("checked_in_at", time),
        _ => return problem,
    };
    problem[member] = value;
    problem
}
