//! What caches are told: what changes is asked for again, what is somebody's own is not kept
//! (RFC 9111), and whoever has the newest already gets none (RFC 9110, 13).

use std::hash::{DefaultHasher, Hasher};

use serde::Serialize;

use crate::message::{Body, Headers, Response};

/// A response that may be kept, if it is asked each time whether it is still true.
///
/// 304 without a body if `If-None-Match` names it.
pub fn cached(headers: &Headers, mut response: Response) -> Response {
    let etag = etag(&response);
    if names(headers.all("If-None-Match"), &etag, true) {
        response = Response::not_modified();
    }
    response.is_cacheable = true;
    response
        .header("ETag", &etag)
        .header("Cache-Control", "no-cache")
}

/// The validator of what `GET` would show of this.
pub fn etag_of(shown: &impl Serialize) -> String {
    etag(&Response::json(200, shown))
}

/// Whether a change was asked for of the very thing that there is: `If-Match` names it, or there is
/// none. (Strong comparison: RFC 9110, 13.1.1.)
pub fn is_expected(if_match: &[String], shown: &impl Serialize) -> bool {
    if_match.is_empty() || names(if_match.iter().map(String::as_str), &etag_of(shown), false)
}

/// Equal for equal responses (of a list, the link to the next page is a part), in every process of one
/// version of the program.
fn etag(response: &Response) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(response.headers.as_bytes());
    if let Body::Whole(body) = &response.body {
        hasher.write(body);
    }
    format!("\"{:016x}\"", hasher.finish())
}

fn names<'r>(mut values: impl Iterator<Item = &'r str>, etag: &str, weakly: bool) -> bool {
    let is_it = |tag: &str| {
        let strong = if weakly {
            tag.strip_prefix("W/").unwrap_or(tag)
        } else {
            tag
        };
        tag == "*" || strong == etag
    };
    values.any(|value| value.split(',').map(str::trim).any(is_it))
}
