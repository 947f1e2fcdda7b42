//! The service itself: is it alive, is it ready, what do its problems mean.

use std::sync::LazyLock;

use serde_json::json;

use super::{Handled, commit};
use crate::api::endpoint::{Call, Outcome};
use crate::api::openapi;
use crate::api::state::Context;
use crate::box_office;
use crate::message::{Code, JSON, Problem, Response, TEXT};
use crate::store::Scope;

pub fn show_problem(_: &Context, call: &Call) -> Handled {
    let code = Code::from_slug(call.id);
    let code = code.ok_or_else(|| Problem::new(Code::RouteNotFound, "there is no such problem"))?;
    let text = format!(
        "{} ({})\n\n{}\n",
        code.title(),
        code.status(),
        code.explanation()
    );
    Ok(Outcome::Respond(Response::new(200, TEXT, text)))
}

pub fn show_openapi(_: &Context, _: &Call) -> Handled {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{}\n", openapi::document()));
    Ok(Outcome::Respond(Response::new(
        200,
        JSON,
        DOCUMENT.as_str(),
    )))
}

pub fn health(_: &Context, _: &Call) -> Handled {
    Ok(Outcome::Respond(Response::json(
        200,
        &json!({"status": "ok"}),
    )))
}

/// Ready is who can commit. The last commit tells, or, if that is too long ago, one made for this.
pub fn ready(context: &Context, _: &Call) -> Handled {
    let state = context.state;
    if let Some(detail) = state.settings.unready.reason() {
        let problem = Problem::new(Code::StorageUnavailable, detail);
        return Err(problem.header("Retry-After", "60"));
    }
    let reaper = state.reaper_state();
    match state.readiness.known(state.clock.monotonic_ns()) {
        Some(outcome) => {
            outcome?;
            Ok(Outcome::Respond(is_ready(reaper)))
        }
        None => commit(
            reaper,
            |_| Scope::Nothing,
            |tx, _, reaper| box_office::prove_ready(tx).map(|()| *reaper),
            is_ready,
        ),
    }
}

fn is_ready(reaper: &'static str) -> Response {
    Response::json(200, &json!({"status": "ready", "reaper": reaper}))
}
