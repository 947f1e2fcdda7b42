//! The service itself: is it alive, is it ready, what do its problems mean.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Handled, commit};
use crate::box_office;
use crate::http::answer::{Answer, TEXT};
use crate::http::openapi;
use crate::http::problem::{Code, Problem};
use crate::http::routes::{Call, Outcome};
use crate::http::worker::{Committed, Context};

pub fn show_problem(_: &Context, call: &Call) -> Handled {
    let code = Code::from_slug(call.id);
    let code = code.ok_or_else(|| Problem::new(Code::RouteNotFound, "there is no such problem"))?;
    let text = format!(
        "{} ({})\n\n{}\n",
        code.title(),
        code.status(),
        code.explanation()
    );
    Ok(Outcome::Answer(Answer::new(200, TEXT, text)))
}

pub fn show_openapi(_: &Context, _: &Call) -> Handled {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi::document);
    Ok(Outcome::Answer(Answer::json(200, &*DOCUMENT)))
}

pub fn health(_: &Context, _: &Call) -> Handled {
    Ok(Outcome::Answer(Answer::json(200, &json!({"status": "ok"}))))
}

/// Ready is who can commit, so a commit is made.
pub fn ready(context: &Context, _: &Call) -> Handled {
    if !context.shared.sound {
        let detail = "the database failed its verification at the start; see lastseat verify";
        let problem = Problem::new(Code::StorageUnavailable, detail);
        return Err(problem.header("Retry-After", "60"));
    }
    let reaper = context.shared.reaper_state();
    commit(move |tx, now| {
        box_office::prove_ready(tx, now)?;
        Ok(Committed::Ready { reaper })
    })
}
