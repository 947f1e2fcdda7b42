//! The calls that the plain model knows, and how a client makes them.

use super::Client;
use super::model::time;
use serde_json::{Value, json};

/// A request, as a client would send it. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    CreateEvent {
        spots: i64,
        hold_seconds: i64,
        sales_open_at: Option<i64>,
        sales_close_at: Option<i64>,
    },
    ChangeEvent {
        event: i64,
        spots: i64,
    },
    CancelEvent {
        event: i64,
    },
    ShowEvent {
        event: i64,
    },
    Register {
        event: i64,
        email: String,
        spots: i64,
        waits: bool,
    },
    ShowTicket {
        ticket: String,
    },
    Confirm {
        ticket: String,
        email: Option<String>,
        payment: Option<String>,
    },
    Extend {
        ticket: String,
    },
    CancelTicket {
        ticket: String,
        email: Option<String>,
        spots: Option<i64>,
    },
    CheckIn {
        ticket: String,
        spots: Option<i64>,
    },
}

/// What a client sees: the status, and the body without the words that are for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub replayed: bool,
}

impl Call {
    /// Sends it, and returns what of the answer the model speaks of.
    pub fn send(&self, client: &mut Client, key: Option<&str>) -> Answer {
        let (method, path, role, body) = self.request();
        let mut headers = vec![("X-Role", role)];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        let body = body.map(|body| body.to_string());
        let answer = client.request(method, &path, &headers, body.as_deref());
        let mut seen = answer.json();
        if answer.status >= 400 {
            let members = seen.as_object_mut().expect("a problem");
            members.retain(|name, _| {
                !matches!(
                    name.as_str(),
                    "type" | "title" | "status" | "detail" | "request_id" | "ticket_status"
                )
            });
        }
        Answer {
            status: answer.status,
            body: seen,
            replayed: answer.header("Idempotent-Replayed") == Some("true"),
        }
    }

    fn request(&self) -> (&'static str, String, &'static str, Option<Value>) {
        let post = |ticket: &str, what: &str, role, members: &[(&str, Option<Value>)]| {
            let given = members.iter().filter_map(|(name, value)| {
                let value = value.clone()?;
                Some((name.to_string(), value))
            });
            let body: serde_json::Map<_, _> = given.collect();
            let path = format!("/tickets/{ticket}/{what}");
            ("POST", path, role, Some(Value::from(body)))
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        match self {
            Call::CreateEvent {
                spots,
                hold_seconds,
                sales_open_at,
                sales_close_at,
            } => {
                let mut body =
                    json!({"name": "Model", "total_spots": spots, "hold_seconds": hold_seconds});
                for (name, at) in [
                    ("sales_open_at", sales_open_at),
                    ("sales_close_at", sales_close_at),
                ] {
                    if let Some(at) = at {
                        body[name] = time(*at).into();
                    }
                }
                ("POST", "/events".into(), "organizer", Some(body))
            }
            Call::ChangeEvent { event, spots } => {
                let body = json!({"total_spots": spots});
                ("PATCH", format!("/events/{event}"), "organizer", Some(body))
            }
            Call::CancelEvent { event } => {
                ("POST", format!("/events/{event}/cancel"), "organizer", None)
            }
            Call::ShowEvent { event } => ("GET", format!("/events/{event}"), "user", None),
            Call::Register {
                event,
                email,
                spots,
                waits,
            } => {
                let body = json!({"email": email, "spots": spots, "wait": waits});
                (
                    "POST",
                    format!("/events/{event}/register"),
                    "user",
                    Some(body),
                )
            }
            Call::ShowTicket { ticket } => ("GET", format!("/tickets/{ticket}"), "user", None),
            Call::Confirm {
                ticket,
                email,
                payment,
            } => {
                let members = [("email", text(email)), ("payment_ref", text(payment))];
                post(ticket, "confirm", "user", &members)
            }
            Call::Extend { ticket } => post(ticket, "extend", "user", &[]),
            Call::CancelTicket {
                ticket,
                email,
                spots,
            } => {
                let members = [("email", text(email)), ("spots", spots.map(Value::from))];
                post(ticket, "cancel", "user", &members)
            }
            Call::CheckIn { ticket, spots } => {
                let members = [("spots", spots.map(Value::from))];
                post(ticket, "check-in", "organizer", &members)
            }
        }
    }
}
