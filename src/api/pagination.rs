//! Pages of a list. A cursor names the list and the position of the last row that was shown, so that
//! nothing is shown twice or left out, whatever is added between two pages (keyset pagination).

use std::borrow::Cow;

use serde::Serialize;

use super::body::invalid;
use crate::message::{Problem, Response};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;

/// Where a list goes on, and how far.
pub struct Page {
    /// What this list's cursors begin with.
    list: &'static str,
    pub limit: usize,
    pub after: i64,
}

impl Page {
    pub fn parse(query: &str, list: &'static str) -> Result<Page, Problem> {
        let limit = match parameter(query, "limit")? {
            None => LIMIT_DEFAULT,
            Some(text) => whole(&text)
                .filter(|n| (1..=LIMIT_MAX as i64).contains(n))
                .ok_or_else(|| invalid("limit", "must be a whole number from 1 to 100"))?
                as usize,
        };
        let after = match parameter(query, "after")? {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix(list)
                .and_then(whole)
                .ok_or_else(|| invalid("after", "must be a cursor from a Link header"))?,
        };
        Ok(Page { list, limit, after })
    }

    /// One more than are shown, to learn whether there is a next page.
    pub fn rows(&self) -> usize {
        self.limit + 1
    }

    /// `rows` come with their positions; `path` is where the next page is, up to its own parameters.
    pub fn response<T: Serialize>(&self, path: &str, rows: &[(i64, T)]) -> Response {
        let shown: Vec<&T> = rows.iter().take(self.limit).map(|(_, row)| row).collect();
        let response = Response::json(200, &shown);
        if rows.len() <= self.limit {
            return response;
        }
        let (list, limit, last) = (self.list, self.limit, rows[self.limit - 1].0);
        let next = format!("<{path}limit={limit}&after={list}{last}>; rel=\"next\"");
        response.header("Link", &next)
    }
}

/// A parameter of the query, which may be given once. Those that nobody asks for are ignored.
pub fn parameter<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Problem> {
    let parameters = form_urlencoded::parse(query.as_bytes());
    let mut values = parameters.filter_map(|(given, value)| (given == name).then_some(value));
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(invalid(name, "must be given once")),
    }
}

pub fn whole(text: &str) -> Option<i64> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}
