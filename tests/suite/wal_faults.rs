//! What another program does to the WAL: cut off after a crash, or taken away from a running server,
//! which notices before it acknowledges anything more.

use super::contract_support::{sell, unlimited};
use crate::support::{Client, PATIENCE, Server, assert_sound, fresh_source, verify, wait_until};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::fs::File;
use std::path::{Path, PathBuf};

fn wal_of(db: &Path) -> PathBuf {
    db.with_extension("db-wal")
}

fn cut(wal: &Path, bytes: u64) {
    let file = File::options().write(true).open(wal).unwrap();
    file.set_len(bytes).unwrap();
}

fn length(wal: &Path) -> u64 {
    std::fs::metadata(wal).unwrap().len()
}

/// A server's files after kill -9: what was sold is in the WAL only.
fn crashed(db: &Path, sales: usize) {
    let server = Server::builder().rate_limit_off().db(db).start();
    let event = server.create_event("Crash", 50);
    // A snapshot from before the sales: nothing that came after it is copied.
    let reader = reader_of(&server);
    for n in 0..sales {
        sell(&server, event, &format!("b{n}@example.com"));
    }
    server.kill9();
    drop(reader);
}

/// A connection in the middle of reading, which leaves the WAL as it is.
fn reader_of(server: &Server) -> Connection {
    let reader = server.db();
    reader
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM tickets")
        .unwrap();
    reader
}

#[test]
fn a_truncated_wal_loses_its_end_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("events.db");
    crashed(&db, 10);
    let wal = wal_of(&db);
    let whole = length(&wal);
    let mut sold = 11;
    for bytes in [1_000, 6_000, 20_000, 40_000] {
        cut(&wal, whole - bytes);
        let left = verify(&db);
        assert_eq!(left["violations"], serde_json::json!([]), "cut by {bytes}");
        let tickets = left["tickets"].as_i64().unwrap();
        assert!(tickets < sold, "{tickets} of {sold} after a cut by {bytes}");
        sold = tickets + 1;
    }
    let server = Server::builder().rate_limit_off().db(&db).start();
    sell(&server, 1, "next@example.com");
    assert_sound(server.db_path());
}

/// A running server, and what it has acknowledged before somebody comes at its WAL.
struct Sold {
    server: Server,
    event: i64,
    tickets: Vec<String>,
    /// Keeps the WAL from being begun anew, so that all sales stand in it one after the other.
    reader: Connection,
}

impl Sold {
    /// `copied` sales that are in the database file as well, and then `uncopied` that are not.
    fn with(copied: usize, uncopied: usize) -> Sold {
        let server = unlimited();
        let event = server.create_event("WAL", 100);
        let db = server.db();
        let checkpoint = |how: &str| {
            let sql = format!("PRAGMA wal_checkpoint({how})");
            db.query_row(&sql, [], |_| Ok(())).unwrap();
        };
        // Another program may do so at any time: it is no harm.
        checkpoint("TRUNCATE");
        let buy = |n| sell(&server, event, &format!("b{n}@example.com"));
        let mut tickets: Vec<_> = (0..copied).map(buy).collect();
        let reader = reader_of(&server);
        checkpoint("PASSIVE");
        tickets.extend((copied..copied + uncopied).map(buy));
        Sold {
            server,
            event,
            tickets,
            reader,
        }
    }

    /// Does `harm` to the WAL while buyers go on. Whatever is acknowledged from then on is there,
    /// also after a crash; and so are the first so many tickets that are returned, and no others.
    fn survivors_of(self, harm: impl FnOnce(&Path), says: &str) -> usize {
        let Sold {
            server,
            event,
            tickets,
            reader,
        } = self;
        let first = server.server_pid();
        harm(&wal_of(server.db_path()));
        drop(reader);
        let mut later = Vec::new();
        let path = format!("/events/{event}/register");
        let sold_again = wait_until(PATIENCE, || {
            let body = format!(r#"{{"email":"later{}@example.com"}}"#, later.len());
            let client = Client::try_connect(server.addr(), Some(fresh_source()));
            // A server that gives way may break off.
            let Ok(answer) = client.and_then(|mut c| c.try_post(&path, "user", &body)) else {
                return false;
            };
            match answer.status {
                201 => later.push(answer.text("ticket_id")),
                _ => {
                    let codes = ["storage_unavailable", "shutting_down"];
                    assert!(codes.contains(&answer.code().as_str()), "{answer:?}");
                }
            }
            later.len() >= 5 && server.try_server_pid().is_some_and(|pid| pid != first)
        });
        assert!(sold_again, "{}", server.log());
        assert!(server.log().contains(says), "{}", server.log());

        server.kill9();
        assert_sound(server.db_path());
        let db = server.db();
        let is_there = |ticket: &String| -> bool {
            let sql = "SELECT count(*) FROM tickets WHERE ticket_id = unhex(?1, '-')";
            db.query_row(sql, [ticket], |row| row.get(0)).unwrap()
        };
        for ticket in &later {
            assert!(is_there(ticket), "acknowledged, but lost: {}", server.log());
        }
        let survivors = tickets.iter().take_while(|t| is_there(t)).count();
        let sold: i64 = db
            .query_row("SELECT count(*) FROM tickets", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sold as usize, survivors + later.len(), "{}", server.log());
        survivors
    }
}

#[test]
fn a_wal_removed_or_replaced_under_the_server_loses_nothing() {
    let remove = |wal: &Path| std::fs::remove_file(wal).unwrap();
    let says = "removed or replaced by another program";
    assert_eq!(Sold::with(5, 5).survivors_of(remove, says), 10);
    let replace = |wal: &Path| {
        let older = wal.with_extension("older");
        std::fs::copy(wal, &older).unwrap();
        cut(&older, length(wal) / 2);
        std::fs::rename(older, wal).unwrap();
    };
    assert_eq!(Sold::with(5, 5).survivors_of(replace, says), 10);
}
