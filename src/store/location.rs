//! Where a database is, and why one is not opened.

use std::fmt;
use std::path::PathBuf;

use super::sqlite::{APPLICATION_ID, SCHEMA_VERSION};

/// What `--db` names.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    File(PathBuf),
    /// A `postgres://` URL, as libpq reads it.
    Postgres(String),
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Location {
        let is_url =
            |text: &&str| text.starts_with("postgres://") || text.starts_with("postgresql://");
        match path.to_str().filter(is_url) {
            Some(url) => Location::Postgres(url.to_owned()),
            None => Location::File(path),
        }
    }
}

impl fmt::Display for Location {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match self {
            Location::File(path) => return path.display().fmt(f),
            Location::Postgres(url) => url.split(['?', '#']).next().unwrap_or_default(),
        };
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        match rest.rsplit_once('@') {
            None => f.write_str(url),
            Some((login, place)) => {
                let user = login.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}@{place}")
            }
        }
    }
}

/// Why a database is not opened. It is untouched in all of these cases.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no such file; give another")]
    Missing,
    #[error("it is not a SQLite database; give another file")]
    NotADatabase,
    #[error("it is a database of another program; give another file")]
    Foreign,
    #[error(
        "it has the tables of a lastseat database, but not its marks, as after .dump; if it is one, \
         set them: sqlite3 FILE 'PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {SCHEMA_VERSION}'"
    )]
    Unmarked,
    #[error(
        "its schema has version {found}, newer than this program's {SCHEMA_VERSION}; use a newer lastseat"
    )]
    NewerSchema { found: i64 },
    #[error("{0}; check that its folder exists and that this user may write to it")]
    Inaccessible(String),
    /// What a server of databases has said.
    #[error("{0}")]
    Refused(String),
    #[error(
        "this lastseat was built for SQLite alone; build one that knows PostgreSQL too: \
         cargo build --release --features postgres (it needs libpq)"
    )]
    NoPostgres,
}
