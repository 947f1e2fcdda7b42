//! From a request to its endpoint's handler, and what every response gets beside.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::auth::{self, Caller};
use super::body::ACCEPT_PATCH;
use super::cors::Cors;
use super::endpoint::{Call, Outcome, Route};
use super::routes::{GET, PATCH, ROUTES, locate, match_path, why_not_found};
use super::state::{Auth, Context, Settings};
use crate::error::Error;
use crate::message::{Code, Field, Problem, Request, Response};

/// Adds to any response what caches and browsers have to know. `origin` is the request's.
pub fn complete(
    settings: &Settings,
    route: Option<&Route>,
    origin: Option<&str>,
    response: Response,
) -> Response {
    let get = route.and_then(|route| route.endpoints.iter().find(|e| e.method == GET));
    let takes_key = settings.auth == Auth::Key && route.is_some_and(|route| route.is_limited);
    let takes_role = settings.auth == Auth::Role && get.is_some_and(|e| e.role.is_some());
    let varies_by = [
        (
            "Accept",
            get.is_some_and(|e| e.has_csv || e.has_stream || e.has_page && e.answer.is_some()),
        ),
        ("Accept-Language", get.is_some_and(|e| e.has_page)),
        ("Authorization", takes_key),
        ("X-Role", takes_role),
        ("Origin", settings.cors.varies()),
    ];
    let varies_by = varies_by.iter().filter(|(_, does)| *does);
    let varies_by: Vec<&str> = varies_by.map(|(name, _)| *name).collect();
    let mut response = response;
    if !varies_by.is_empty() {
        response = response.header("Vary", &varies_by.join(", "));
    }
    if !response.is_cacheable {
        response = response.header("Cache-Control", "no-store");
    }
    settings.cors.add_to(response, origin)
}

/// What is to be done about a request whose head was not refused.
///
/// Errors, in this order: `route_not_found`, `method_not_allowed`, `unauthorized`, `forbidden`; then
/// those of the handler. A panic of the handler is an `internal_error`.
pub fn decide(context: &Context, request: &Request) -> Result<Outcome, Problem> {
    let decided = catch_unwind(AssertUnwindSafe(|| {
        let panics = context.state.settings.test_hooks
            && request.head.headers.one("X-Test-Panic") == Field::Once("request");
        assert!(!panics, "asked for by X-Test-Panic");
        dispatch(context, request)
    }));
    decided.unwrap_or_else(|_| Err(Error::Internal("a handler panicked".into()).into()))
}

fn dispatch(context: &Context, request: &Request) -> Result<Outcome, Problem> {
    let whole = request.path();
    let (route, path) = locate(&whole, context.state.settings.base_path);
    let route = route.ok_or_else(|| Problem::new(Code::RouteNotFound, why_not_found(path)))?;
    let method = match request.head.method {
        "OPTIONS" => return Ok(Outcome::Respond(options(context, request, route))),
        "HEAD" => GET,
        method => method,
    };
    let endpoint = route.endpoints.iter().find(|e| e.method == method);
    let Some(endpoint) = endpoint else {
        let allowed = allow(route);
        let detail = format!("allowed here: {allowed}");
        return Err(Problem::new(Code::MethodNotAllowed, detail).header("Allow", allowed));
    };
    let id = match_path(route.path, path).unwrap_or_default();
    let headers = &request.head.headers;
    let is_public = || auth::is_public_sale(context, headers, route.reach, id);
    let caller = match route.is_limited && !(endpoint.or_public && is_public()?) {
        true => auth::authorize(context, headers, endpoint.role)?,
        false => Caller::default(),
    };
    let call = Call {
        request,
        reach: route.reach,
        id,
        caller,
        routes: &ROUTES,
    };
    (endpoint.handler)(context, &call)
}

fn options(context: &Context, request: &Request, route: &Route) -> Response {
    let allowed = allow(route);
    let mut response = Response::no_content().header("Allow", &allowed);
    if route.endpoints.iter().any(|e| e.method == PATCH) {
        response = response.header("Accept-Patch", ACCEPT_PATCH);
    }
    match context.state.settings.cors.is_preflight(request) {
        true => Cors::answer_preflight(response, &allowed),
        false => response,
    }
}

fn allow(route: &Route) -> String {
    let mut methods = Vec::new();
    for endpoint in route.endpoints {
        methods.push(endpoint.method);
        if endpoint.method == GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}
