//! The service itself: is it alive, is it ready, what do its problems mean.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Handled, commit};
use crate::api::caching::cached;
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

pub fn show_openapi(context: &Context, call: &Call) -> Handled {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let base_path = context.state.settings.base_path;
    let render = || format!("{}\n", openapi::document(call.routes, base_path));
    let response = Response::new(200, JSON, DOCUMENT.get_or_init(render).as_str());
    let headers = &call.request.head.headers;
    Ok(Outcome::Respond(cached(headers, response)))
}

#[derive(Serialize, JsonSchema)]
pub struct Health {
    status: &'static str,
}

pub fn health(_: &Context, _: &Call) -> Handled {
    let health = Health { status: "ok" };
    Ok(Outcome::Respond(Response::json(200, &health)))
}

#[derive(Serialize, JsonSchema)]
pub struct Readiness {
    status: &'static str,
    /// running, or stopped.
    reaper: &'static str,
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
            context,
            reaper,
            |_| Scope::Nothing,
            |tx, _, reaper| box_office::prove_ready(tx).map(|()| *reaper),
            |reaper, _| is_ready(reaper),
        ),
    }
}

fn is_ready(reaper: &'static str) -> Response {
    let status = "ready";
    Response::json(200, &Readiness { status, reaper })
}
