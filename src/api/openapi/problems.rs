//! What the document says of problems.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::{headers_named, reference};
use crate::message::{Code, reason};
use crate::model::{Role, TicketStatus, Timestamp};

pub fn by_status(codes: &[Code]) -> BTreeMap<u16, Vec<Code>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
}

pub fn response_name(status: u16) -> String {
    reason(status).replace(' ', "")
}

/// One response a status, whoever gives it: the problem's code says more.
pub fn problem_responses() -> Value {
    let response = |(status, codes): (u16, Vec<Code>)| {
        let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
        let examples = codes.iter().map(|code| {
            (
                code.as_str().to_owned(),
                json!({"value": problem_example(*code)}),
            )
        });
        let headers = headers_named(&[
            ("X-Request-Id", true),
            ("RateLimit-Policy", true),
            ("RateLimit", true),
            ("WWW-Authenticate", status == 401 || status == 403),
            ("Allow", status == 405),
            ("Retry-After", status == 429 || status == 503),
        ]);
        let content = json!({"schema": reference("schemas", "Problem"), "examples": examples.collect::<Map<_, _>>()});
        let response = json!({"description": titles.join("; "), "headers": headers, "content": {"application/problem+json": content}});
        (response_name(status), response)
    };
    by_status(Code::ALL)
        .into_iter()
        .map(response)
        .collect::<Map<_, _>>()
        .into()
}

/// What a problem may say beside what every problem says (RFC 9457, 3.2).
fn extensions(schemas: &mut SchemaGenerator) -> [(Code, &'static str, Value, Value); 15] {
    let time = schemas.subschema_for::<Timestamp>().to_value();
    let or_null = schemas.subschema_for::<Option<Timestamp>>().to_value();
    let role = schemas.subschema_for::<Role>().to_value();
    let status = schemas.subschema_for::<TicketStatus>().to_value();
    let at = json!("2026-11-23T09:30:00.000Z");
    let integer = json!({"type": "integer"});
    [
        (Code::Forbidden, "required_role", role, json!("user")),
        (Code::SalesNotOpen, "opens_at", time.clone(), at.clone()),
        (Code::SalesClosed, "closed_at", time.clone(), at.clone()),
        (Code::SoldOut, "available_spots", integer.clone(), json!(0)),
        (Code::SoldOut, "waiting", integer.clone(), json!(0)),
        (Code::LineFull, "waiting", integer.clone(), json!(100_000)),
        (Code::SoldOut, "next_expiry", or_null.clone(), at.clone()),
        (
            Code::CapacityBelowCommitted,
            "minimum",
            integer.clone(),
            json!(3),
        ),
        (Code::HoldExpired, "expired_at", time.clone(), at.clone()),
        (
            Code::NotConfirmed,
            "ticket_status",
            status,
            json!("reserved"),
        ),
        (
            Code::AlreadyConfirmed,
            "payment_ref",
            json!({"type": ["string", "null"]}),
            json!("pay_42"),
        ),
        (Code::ExtensionRefused, "expires_at", time, at.clone()),
        (Code::AlreadyCheckedIn, "checked_in_at", or_null, at),
        (Code::AlreadyCheckedIn, "spots", integer.clone(), json!(4)),
        (
            Code::AlreadyCheckedIn,
            "checked_in_spots",
            integer,
            json!(4),
        ),
    ]
}

pub fn problem_schema(schemas: &mut SchemaGenerator) -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let mut properties = json!({
        "type": {"type": "string", "description": "The path of a page that explains it."},
        "title": {"type": "string", "description": "The same for each problem of this code."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For a person: what to do about it."},
        "code": {"type": "string", "enum": codes},
        "request_id": {"type": "string", "description": "As on the log line."},
    });
    for (code, name, mut schema, _) in extensions(schemas) {
        schema["description"] = json!(format!("With {}.", code.as_str()));
        properties[name] = schema;
    }
    json!({
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": properties,
    })
}

fn problem_example(code: Code) -> Value {
    let mut problem = json!({
        "type": code.path(), "title": code.title(), "status": code.status(),
        "detail": code.explanation(), "code": code.as_str(),
        "request_id": "89003820-0807-42f7-a85a-263d9812e3e6",
    });
    for (of, name, _, example) in extensions(&mut SchemaGenerator::default()) {
        if of == code {
            problem[name] = example;
        }
    }
    problem
}
