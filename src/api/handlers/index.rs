//! `GET /`: what there is, for a person with curl.

use std::fmt::Write as _;

use super::Handled;
use crate::api::endpoint::{Call, Outcome};
use crate::api::state::{Auth, Context};
use crate::message::{Response, TEXT};

/// Role, arguments and path of calls worth trying, in the order of a ticket's life.
const EXAMPLES: [(&str, &str, &str); 7] = [
    (
        "organizer",
        r#"-d '{"name":"Concert","total_spots":5}'"#,
        "/events",
    ),
    ("", "", "/events/1"),
    (
        "user",
        r#"-d '{"email":"ada@example.com"}'"#,
        "/events/1/register",
    ),
    ("user", "", "/tickets/<ticket_id>"),
    ("user", "-X POST", "/tickets/<ticket_id>/confirm"),
    ("organizer", "-X POST", "/tickets/<ticket_id>/check-in"),
    ("organizer", "-H 'Accept: text/csv'", "/events/1/tickets"),
];

pub fn show(context: &Context, call: &Call) -> Handled {
    let mut text = format!(
        "lastseat {} sells the last seat exactly once.\n\n",
        env!("CARGO_PKG_VERSION")
    );
    for route in call.routes {
        for endpoint in route.endpoints {
            let role = endpoint.role.map_or("anyone", |role| role.as_str());
            let _ = writeln!(text, "{:<7}{:<27}{role}", endpoint.method, route.path);
        }
    }
    text.push_str("\nTry it:\n");
    for (role, arguments, path) in EXAMPLES {
        let credentials = match context.state.settings.auth {
            _ if role.is_empty() => String::new(),
            Auth::Role => format!("-H 'X-Role: {role}'"),
            Auth::Key => format!("-H \"Authorization: Bearer ${}_KEY\"", role.to_uppercase()),
        };
        let words = ["  curl", &credentials, arguments].into_iter();
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let _ = writeln!(text, "{} localhost:8080{path}", words.join(" "));
    }
    text.push_str("\nEvery error names a page that explains it, such as /problems/sold-out.\n");
    Ok(Outcome::Respond(Response::new(200, TEXT, text)))
}
