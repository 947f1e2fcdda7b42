//! Pages of a list: how far, and where it goes on.

use super::body::invalid;
use super::problem::Problem;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;

/// Where a list goes on, and how far.
pub struct Page {
    pub limit: usize,
    pub after: i64,
}

impl Page {
    pub fn parse(query: &str) -> Result<Page, Problem> {
        let mut limit = None;
        let mut after = None;
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match name {
                "limit" => &mut limit,
                "after" => &mut after,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(invalid(name, "must be given once"));
            }
        }
        let limit = match limit {
            None => LIMIT_DEFAULT,
            Some(text) => whole(text)
                .filter(|n| (1..=LIMIT_MAX as i64).contains(n))
                .ok_or_else(|| invalid("limit", "must be a whole number from 1 to 100"))?
                as usize,
        };
        let after = match after {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix('e')
                .and_then(whole)
                .ok_or_else(|| invalid("after", "must be a cursor from a Link header"))?,
        };
        Ok(Page { limit, after })
    }
}

fn whole(text: &str) -> Option<i64> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}
