//! The bodies of requests and answers, as `GET /openapi.json` describes them (JSON Schema).

use serde_json::{Value, json};

/// What stands for the schema of that name.
pub fn schema_of(name: &str) -> Value {
    match name {
        "Any" => json!({"type": "object"}),
        "Events" => json!({"type": "array", "items": {"$ref": "#/components/schemas/Event"}}),
        "Tickets" => json!({"type": "array", "items": {"$ref": "#/components/schemas/Ticket"}}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

pub fn example(schema: &str) -> Value {
    let at = "2026-11-23T09:30:00.000Z";
    let event = json!({
        "id": 1, "name": "Concert", "total_spots": 5, "available_spots": 4, "status": "on_sale",
        "starts_at": null, "sales_open_at": null, "sales_close_at": null, "hold_seconds": 300, "created_at": at,
    });
    let ticket = json!({
        "ticket_id": "01a2074a-fe04-7f0d-9514-ddcbbdf57c41", "event_id": 1, "email": "ada@example.com",
        "status": "reserved", "created_at": at, "expires_at": "2026-11-23T09:35:00.000Z",
    });
    match schema {
        "Event" => event,
        "Events" => json!([event]),
        "Ticket" => ticket,
        "Tickets" => json!([ticket]),
        "NewEvent" => json!({"name": "Concert", "total_spots": 5}),
        "EventChange" => json!({"total_spots": 8, "starts_at": null}),
        "Registration" | "Holder" => json!({"email": "ada@example.com"}),
        _ => json!({}),
    }
}

/// No white space and no control characters, as Unicode has them; no @.
const WORD: &str =
    r"[^@\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+";
/// Something that is no white space, and no control characters anywhere.
const NAME: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000-\u001f\u007f-\u009f]*$";

/// All of them, by name.
pub fn schemas() -> Value {
    let time = json!({"type": "string", "format": "date-time"});
    let time_or_null = json!({"type": ["string", "null"], "format": "date-time"});
    let name = json!({"type": "string", "minLength": 1, "maxLength": 200, "pattern": NAME});
    let email = json!({"type": "string", "minLength": 3, "maxLength": 254, "pattern": format!("^{WORD}@{WORD}$")});
    let spots = json!({"type": "integer", "minimum": 1, "maximum": 1_000_000});
    let free = json!({"type": "integer", "minimum": 0, "maximum": 1_000_000});
    let hold = json!({"type": "integer", "minimum": 10, "maximum": 3_600});
    let key = json!({"type": "string", "pattern": "^[!-~]{1,255}$"});
    let uuid = json!({"type": "string", "format": "uuid"});
    let closed = |required: &[&str], properties: Value| json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false});
    json!({
        "Event": closed(
            &["id", "name", "total_spots", "available_spots", "status", "starts_at", "sales_open_at", "sales_close_at", "hold_seconds", "created_at"],
            json!({
                "id": {"type": "integer", "minimum": 1}, "name": name, "total_spots": spots, "available_spots": free,
                "status": {"enum": ["on_sale", "cancelled"]}, "starts_at": time_or_null,
                "sales_open_at": time_or_null, "sales_close_at": time_or_null,
                "hold_seconds": {"type": "integer", "minimum": 1, "maximum": 3_600}, "created_at": time,
            }),
        ),
        "Ticket": closed(
            &["ticket_id", "event_id", "email", "status", "created_at"],
            json!({
                "ticket_id": uuid, "event_id": {"type": "integer"}, "email": email,
                "status": {"enum": ["reserved", "confirmed", "cancelled"]}, "created_at": time, "expires_at": time,
                "confirmed_at": time, "cancelled_at": time,
                "cancel_reason": {"enum": ["expired", "holder", "organizer"]}, "checked_in_at": time,
            }),
        ),
        "NewEvent": closed(&["name", "total_spots"], json!({
            "name": name, "total_spots": spots, "starts_at": time, "sales_open_at": time,
            "sales_close_at": time, "hold_seconds": hold,
        })),
        "EventChange": closed(&[], json!({
            "name": name, "total_spots": spots, "starts_at": time_or_null,
            "sales_open_at": time_or_null, "sales_close_at": time_or_null, "hold_seconds": hold,
        })),
        "Registration": closed(&["email"], json!({"email": email, "idempotency_key": key})),
        "Holder": closed(&[], json!({"email": email})),
        "Nothing": closed(&[], json!({})),
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "code", "request_id"],
            "properties": {
                "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                "detail": {"type": "string"}, "code": {"type": "string"}, "request_id": {"type": "string"},
            },
        },
    })
}
