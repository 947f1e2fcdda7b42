//! `GET /openapi.json`: the contract for programs (OpenAPI 3.1). It is made from the table of
//! endpoints, the types of their bodies, and the list of problems.

mod problems;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::auth::Reach;
use super::endpoint::{Endpoint, Route};
use super::handlers::csv_head;
use crate::message::Code;
use crate::model::TicketStatus;
use problems::{by_status, problem_responses, problem_schema, response_name};

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

/// `base_path` is where the server is mounted.
pub fn document(routes: &[Route], base_path: &str) -> Value {
    // Null is what the code has for a member that was left out; a client would send it.
    let without_null_default = |schema: &mut Schema| {
        if schema.get("default") == Some(&Value::Null) {
            schema.remove("default");
        }
    };
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(RecursiveTransform(without_null_default));
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for route in routes {
        let mut operations = Map::new();
        for endpoint in route.endpoints {
            let operation = operation(&mut schemas, route, endpoint);
            operations.insert(endpoint.method.to_lowercase(), operation);
        }
        paths.insert(route.path.to_owned(), operations.into());
    }
    let problem = problem_schema(&mut schemas);
    let mut schemas = schemas.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem);
    for (name, example) in examples() {
        schemas[name]["examples"] = json!([example]);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lastseat",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Sells the last seat exactly once. HEAD works wherever GET does; OPTIONS answers 204 with Allow. Every refusal is a Problem, whose code says which.",
        },
        "servers": [{"url": if base_path.is_empty() { "/" } else { base_path }}],
        "tags": [
            {"name": "events", "description": "What is sold."},
            {"name": "tickets", "description": "What is sold to somebody."},
            {"name": "service", "description": "The server itself."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": problem_responses(),
            "parameters": parameters(),
            "headers": headers(),
            "securitySchemes": {
                "role": {"type": "apiKey", "in": "header", "name": "X-Role",
                         "description": "organizer, user or admin; believed unless the server runs with --auth key"},
                "key": {"type": "http", "scheme": "bearer", "description": "with --auth key"},
            },
        },
    })
}

fn operation(schemas: &mut SchemaGenerator, route: &Route, endpoint: &Endpoint) -> Value {
    let tag = match route.reach {
        Reach::TicketsOfOwnEvents => "tickets",
        _ if route.path.ends_with("/register") || route.path.ends_with("/tickets") => "tickets",
        _ if route.path.starts_with("/events") => "events",
        _ => "service",
    };
    let mut operation = json!({
        "operationId": endpoint.id,
        "tags": [tag],
        "summary": endpoint.summary,
        "description": description(endpoint),
        "parameters": parameters_of(route, endpoint),
        "responses": responses(schemas, route, endpoint),
        "security": match endpoint.role {
            None => json!([]),
            Some(_) if endpoint.or_public => json!([{"role": []}, {"key": []}, {}]),
            Some(_) => json!([{"role": []}, {"key": []}]),
        },
    });
    if let Some((schema, required)) = endpoint.body {
        let schema = schema(schemas);
        let mut content = json!({"application/json": {"schema": schema}});
        if endpoint.method == "PATCH" {
            content["application/merge-patch+json"] = json!({"schema": schema});
        }
        operation["requestBody"] = json!({"required": required, "content": content});
    }
    operation
}

fn description(endpoint: &Endpoint) -> String {
    let who = match endpoint.role {
        None => "For anyone.".to_owned(),
        Some(role) if endpoint.or_public => {
            format!("For the role {role}, and without one if the event has public_sale.")
        }
        Some(role) => format!("For the role {role}."),
    };
    let own: Vec<&str> = endpoint.problems.iter().map(|code| code.as_str()).collect();
    match own.is_empty() {
        true => who,
        false => format!(
            "{who} Problems of its own, in this order: {}.",
            own.join(", ")
        ),
    }
}

fn reference(section: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{section}/{name}")})
}

fn parameters_of(route: &Route, endpoint: &Endpoint) -> Vec<Value> {
    let is_get = endpoint.method == "GET";
    let of_ticket = route.reach == Reach::TicketsOfOwnEvents;
    let at_door = route.path.ends_with("/check-in");
    let of_problem = route.path.starts_with("/problems");
    let is_feed = endpoint.is_list && endpoint.has_stream;
    let named = [
        ("EventId", route.reach == Reach::OwnEvents),
        ("TicketId", of_ticket && !at_door),
        ("TicketIdOrDoorCode", at_door),
        ("ProblemId", of_problem),
        ("Limit", endpoint.is_list),
        ("After", endpoint.is_list && !is_feed),
        ("AfterChange", is_feed),
        ("Wait", is_feed),
        ("LastEventId", is_feed),
        ("Status", endpoint.has_csv),
        ("IfNoneMatch", endpoint.is_cached),
        ("IfMatch", endpoint.method == "PATCH"),
        ("IdempotencyKey", !is_get),
    ];
    let named = named.iter().filter(|(_, has)| *has);
    named
        .map(|(name, _)| reference("parameters", name))
        .collect()
}

fn parameters() -> Value {
    let parameter = |place: &str, name: &str, what: &str, schema: Value| json!({"in": place, "name": name, "description": what, "required": place == "path", "schema": schema});
    let slugs: Vec<String> = Code::ALL.iter().map(|code| slug(*code)).collect();
    let statuses = json!({"type": "string", "enum": [TicketStatus::Reserved, TicketStatus::Confirmed, TicketStatus::Cancelled, TicketStatus::Waiting]});
    let etag = json!({"type": "string"});
    json!({
        "EventId": parameter("path", "id", "The event.", json!({"type": "integer", "minimum": 1, "format": "int64"})),
        "TicketId": parameter("path", "id", "The ticket; its holder's secret.", json!({"type": "string", "format": "uuid"})),
        "TicketIdOrDoorCode": parameter("path", "id", "The ticket, by its id or by what its QR code holds.", json!({"type": "string", "pattern": "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[1-9][0-9]*T[0-9A-F]{32})$"})),
        "ProblemId": parameter("path", "id", "The problem's code, with dashes.", json!({"type": "string", "enum": slugs})),
        "Limit": parameter("query", "limit", "So many at most.", json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50})),
        "After": parameter("query", "after", "Where the list goes on: from the Link header of the page before.", json!({"type": "string", "pattern": "^[et][0-9]{1,18}$"})),
        "AfterChange": parameter("query", "after", "The number of the last change that is known.", json!({"type": "integer", "format": "int64", "minimum": 0, "default": 0})),
        "Wait": parameter("query", "wait", "If there is nothing yet, the answer comes as soon as there is, or after so long. Not with text/event-stream.", json!({"type": "string", "pattern": "^([12]?[0-9]|30)s$", "default": "0s"})),
        "LastEventId": parameter("header", "Last-Event-ID", "Goes before after: the id of the last event that was received.", json!({"type": "string", "pattern": "^[0-9]{1,18}$"})),
        "Status": parameter("query", "status", "Those in this state only.", statuses),
        "IfNoneMatch": parameter("header", "If-None-Match", "An ETag: 304 if it still holds.", etag.clone()),
        "IfMatch": parameter("header", "If-Match", "An ETag: 412 if it holds no more.", etag),
        "IdempotencyKey": parameter("header", "Idempotency-Key", "The same for each attempt at the same request: it takes effect once, and each attempt has the first one's answer.", json!({"type": "string", "pattern": "^[!#-~][!-~]{0,254}$"})),
    })
}

fn headers() -> Value {
    let header = |what: &str| json!({"description": what, "schema": {"type": "string"}});
    json!({
        "X-Request-Id": header("The caller's, or a new one; also on the log line."),
        "RateLimit-Policy": header("Requests (q) in a window of seconds (w), unless it is off."),
        "RateLimit": header("Requests left (r), and seconds until there are more (t)."),
        "Location": header("Where the new thing is."),
        "Link": header("The next page, as rel=\"next\", if there is one."),
        "ETag": header("Names what is shown, for If-None-Match and If-Match."),
        "Idempotent-Replayed": header("true: the first answer to this key, again."),
        "Ticket-Status": header("On a replay: what the ticket is by now (waiting, reserved, confirmed or cancelled)."),
        "WWW-Authenticate": header("Bearer, and what is wrong with the key (RFC 6750)."),
        "Allow": header("The methods that there are."),
        "Retry-After": header("Seconds."),
    })
}

fn headers_named(names: &[(&str, bool)]) -> Value {
    let named = names.iter().filter(|(_, has)| *has);
    let named = named.map(|(name, _)| (name.to_string(), reference("headers", name)));
    named.collect::<Map<_, _>>().into()
}

fn responses(schemas: &mut SchemaGenerator, route: &Route, endpoint: &Endpoint) -> Value {
    let mut content = match endpoint.answer {
        None => json!({endpoint.text: {"schema": {"type": "string"}}}),
        Some(schema) => json!({"application/json": {"schema": schema(schemas)}}),
    };
    if endpoint.has_csv {
        content["text/csv"] = json!({
            "schema": {"type": "string", "description": "RFC 4180, UTF-8: a line with the names of the columns, then one a ticket, every field quoted. Not paged."},
            "example": csv_head(),
        });
    }
    if endpoint.has_page {
        content["text/html"] = json!({"schema": {"type": "string"}});
    }
    if endpoint.has_stream {
        content["text/event-stream"] = json!({
            "schema": {"type": "string", "description": "Server-sent events without an end, and a comment after 15 s of silence: data is what the array has (with id, its n), or the event whenever it is another, twice a second at most."},
        });
    }
    let is_change = endpoint.method != "GET";
    let with_headers = headers_named(&[
        ("X-Request-Id", true),
        ("RateLimit-Policy", route.is_limited),
        ("RateLimit", route.is_limited),
        ("Location", endpoint.status == 201),
        ("Link", endpoint.is_list),
        ("ETag", endpoint.is_cached || endpoint.method == "PATCH"),
        ("Idempotent-Replayed", is_change),
        (
            "Ticket-Status",
            is_change && !route.path.starts_with("/events") || route.path.ends_with("/register"),
        ),
    ]);
    let mut responses = Map::new();
    let done =
        json!({"description": endpoint.summary, "headers": with_headers, "content": content});
    if endpoint.or_accepts {
        let mut waiting = done.clone();
        waiting["description"] = json!("There are too few spots, and the ticket is in line.");
        responses.insert("202".to_owned(), waiting);
    }
    responses.insert(endpoint.status.to_string(), done);
    if endpoint.is_cached {
        let headers = headers_named(&[("X-Request-Id", true), ("ETag", true)]);
        let same = json!({"description": "It is as If-None-Match has it.", "headers": headers});
        responses.insert("304".to_owned(), same);
    }
    let mut problems: Vec<Code> = ANYWHERE.to_vec();
    if route.is_limited {
        problems.extend([Code::RateLimited, Code::Unauthorized]);
    }
    if endpoint.role.is_some() {
        problems.push(Code::Forbidden);
    }
    if endpoint.body.is_some() {
        problems.extend(OF_A_BODY);
    }
    problems.extend(endpoint.problems);
    for status in by_status(&problems).into_keys() {
        responses.insert(
            status.to_string(),
            reference("responses", &response_name(status)),
        );
    }
    responses.into()
}

fn examples() -> [(&'static str, Value); 7] {
    let at = "2026-11-23T09:30:00.000Z";
    let (event, email) = ("Concert", "ada@example.com");
    [
        (
            "Event",
            json!({
                "id": 1, "name": event, "total_spots": 5, "available_spots": 4, "waiting": 0, "status": "on_sale",
                "starts_at": null, "sales_open_at": null, "sales_close_at": null, "hold_seconds": 300,
                "hold_seconds_max": 900, "party_max": 10, "waiting_max": 100_000, "public_sale": false, "payment_url": null, "created_at": at,
            }),
        ),
        (
            "Ticket",
            json!({
                "ticket_id": "01a2074a-fe04-7f0d-9514-ddcbbdf57c41", "event_id": 1, "email": email, "spots": 2,
                "status": "reserved", "created_at": at, "expires_at": "2026-11-23T09:35:00.000Z",
            }),
        ),
        (
            "Change",
            json!({
                "n": 2, "at": at, "kind": "reserved", "ticket_id": "01a2074a-fe04-7f0d-9514-ddcbbdf57c41",
                "spots": -1, "available_spots": 4, "waiting": 0,
            }),
        ),
        ("NewEvent", json!({"name": event, "total_spots": 5})),
        ("EventChange", json!({"total_spots": 8, "starts_at": null})),
        ("Buyer", json!({"email": email, "spots": 2})),
        ("Holder", json!({"email": email})),
    ]
}

fn slug(code: Code) -> String {
    code.as_str().replace('_', "-")
}
