//! The suite on PostgreSQL: with LASTSEAT_TEST_DB=postgres://user@host:port every server that a test
//! starts has a database of its own there instead of a file. `make cluster` does that.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;

use super::server::BINARY;

/// Of the server of databases, without a database. None: the tests are on files.
fn base() -> Option<String> {
    std::env::var("LASTSEAT_TEST_DB")
        .ok()
        .filter(|url| !url.is_empty())
}

/// What stands for the file of that path: a database, made if there is none.
pub fn stand_in(file: &Path) -> PathBuf {
    let (Some(base), false) = (base(), is_url(file)) else {
        return file.to_owned();
    };
    let mut hasher = DefaultHasher::new();
    (std::process::id(), file).hash(&mut hasher);
    let name = format!("test_{:016x}", hasher.finish());
    // One that is there already is another server's of the same test.
    let _ = psql(&base, "postgres", &format!("CREATE DATABASE {name}"));
    PathBuf::from(format!("{base}/{name}"))
}

pub fn is_url(database: &Path) -> bool {
    database.to_string_lossy().starts_with("postgres://")
}

/// Once no test needs it.
pub fn drop_database(url: &Path) {
    let url = url.to_string_lossy();
    if let Some((base, name)) = url.rsplit_once('/')
        && name.starts_with("test_")
    {
        let _ = psql(
            base,
            "postgres",
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        );
    }
}

/// All of it, as the file that `lastseat copy` makes.
pub fn as_file(url: &Path) -> Connection {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("copy.db");
    let copied = Command::new(BINARY)
        .arg("copy")
        .arg(url)
        .arg(&file)
        .output();
    let copied = copied.expect("runs");
    assert!(copied.status.success(), "{copied:?}");
    // It lives on without its name.
    let db = Connection::open(&file).expect("opens the copy");
    db.query_row("SELECT count(*) FROM events", [], |_| Ok(()))
        .expect("reads the copy");
    db
}

/// Changes a database past its servers, in one transaction.
#[track_caller]
pub fn change(database: &Path, sql: &str) {
    let text = database.to_string_lossy();
    match text.rsplit_once('/') {
        Some((base, name)) if is_url(database) => {
            psql(base, name, sql).expect("changes the database");
        }
        _ => {
            let db = Connection::open(database).expect("opens the database");
            db.busy_timeout(Duration::from_secs(10)).expect("a timeout");
            let sql = format!("BEGIN IMMEDIATE; {sql}; COMMIT");
            db.execute_batch(&sql).expect("changes the database");
        }
    }
}

/// A ticket's id in such a change: these eight digits, and the number `i`.
pub fn numbered_id(database: &Path, digits: &str) -> String {
    match is_url(database) {
        true => format!("decode('{digits}' || lpad(to_hex(i), 24, '0'), 'hex')"),
        false => format!("unhex(printf('{digits}%024x', i))"),
    }
}

/// Runs SQL past the servers; returns what it prints, or why it failed.
pub fn psql(base: &str, database: &str, sql: &str) -> Result<String, String> {
    let url = format!("{base}/{database}");
    let mut command = Command::new("psql");
    command
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .arg(url);
    let output = command.output().expect("psql runs");
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
