//! The pages for people. They use nothing but the API.

use super::{Handled, event_id};
use crate::api::caching::cached;
use crate::api::endpoint::{Call, Outcome};
use crate::api::pages::{BUYER, DOOR, LANGUAGES, ORGANIZER, Page};
use crate::api::state::Context;
use crate::box_office;
use crate::message::{HTML, Response, prefers_language, prefers_text};

/// Whether whoever asks for a thing wants a page about it: a browser does, a program does not.
pub fn is_asked_for(call: &Call) -> bool {
    prefers_text(call.request.head.headers.all("Accept"), "html")
}

/// The same page for every event. Where there is none, it says so itself.
pub fn show_buyer(context: &Context, call: &Call) -> Handled {
    let now = context.state.clock.now();
    let event = event_id(context, call).and_then(|id| {
        let event = context.db.read(|tx| box_office::show_event(tx, now, id));
        Ok(event?)
    });
    let page = page(context, call, &BUYER);
    Ok(Outcome::Respond(match event {
        Ok(_) => cached(&call.request.head.headers, page),
        Err(_) => Response {
            status: 404,
            ..page
        },
    }))
}

pub fn show_organizer(context: &Context, call: &Call) -> Handled {
    show(context, call, &ORGANIZER)
}

pub fn show_door(context: &Context, call: &Call) -> Handled {
    show(context, call, &DOOR)
}

fn show(context: &Context, call: &Call, which: &Page) -> Handled {
    let page = page(context, call, which);
    Ok(Outcome::Respond(cached(&call.request.head.headers, page)))
}

fn page(context: &Context, call: &Call, which: &Page) -> Response {
    let accepted = call.request.head.headers.all("Accept-Language");
    let language = prefers_language(accepted, &LANGUAGES);
    let page = which.in_language(language, context.state.settings.auth);
    Response::new(200, HTML, page.html.as_str())
        .header("Content-Language", language)
        .header("Content-Security-Policy", &page.content_security_policy)
        .header("Referrer-Policy", "no-referrer")
        .header("X-Content-Type-Options", "nosniff")
}
