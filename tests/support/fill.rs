//! What is written into a database file past the server, or read there, by the bench and by tests
//! that need more tickets than they have time to buy.

use std::path::Path;

use rusqlite::Connection;

use super::postgres;

/// An event with tickets that were sold before.
#[derive(Clone, Copy)]
pub struct Sold {
    pub spots: u32,
    /// All of them held for an hour from now, as if bought this very moment.
    pub tickets: u32,
    /// Whether each was bought with an idempotency key (random, as long as a UUID).
    pub with_keys: bool,
}

/// Writes such events, with their ledger, into a file that no server has open; returns their ids.
/// Triggers and indexes are put back afterwards: a sorted index is quicker made than kept.
pub fn tickets(path: &Path, events: &[Sold]) -> Vec<i64> {
    let db = Connection::open(path).expect("opens");
    let guards =
        "FROM sqlite_schema WHERE sql IS NOT NULL AND (type = 'trigger' OR type = 'index')";
    let list = |column: &str| -> Vec<String> {
        let sql = format!("SELECT {column} {guards}");
        let mut statement = db.prepare(&sql).expect("prepares");
        let rows = statement.query_map([], |row| row.get(0)).expect("queries");
        rows.map(|row| row.expect("a text")).collect()
    };
    let (made, dropped) = (list("sql"), list("'DROP ' || type || ' ' || name"));
    let run = |sql: &str| db.execute_batch(sql).expect("fills");
    run("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000");
    run(&dropped.join(";"));
    let next_id = "SELECT coalesce(max(id), 0) + 1 FROM events";
    let ids = events.iter().map(|sold| {
        let event = db
            .query_row(next_id, [], |row| row.get(0))
            .expect("an event's id");
        run(&event_sold(event, sold));
        event
    });
    let ids = ids.collect();
    run(&made.join(";"));
    run("PRAGMA journal_mode = WAL");
    // Or else the first sales would wait until all of that is on disk.
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .expect("flushes");
    ids
}

/// Ticket ids ascend, as the server's do; addresses and keys come in no order.
fn event_sold(event: i64, sold: &Sold) -> String {
    let Sold { spots, tickets, .. } = sold;
    let keys = match sold.with_keys {
        false => String::new(),
        // As much as the server keeps: the request, and the body of its answer.
        true => format!(
            "INSERT INTO idempotency_keys (key_digest, request, body, ticket_seq)
                 SELECT randomblob(16), printf('[\"register\",{event},\"%s\"]', email_folded),
                        printf('%0191d', seq), seq FROM tickets WHERE event_id = {event};"
        ),
    };
    format!(
        "BEGIN;
         INSERT INTO events (id, name, total_spots, available_spots, changes, hold_ms, created_at)
             VALUES ({event}, 'sold before', {spots}, {spots} - {tickets}, {tickets} + 1, 3600000,
                     unixepoch() * 1000);
         INSERT INTO ledger (event_id, n, at, kind, spots, available_spots)
             VALUES ({event}, 1, unixepoch() * 1000, 'created', {spots}, {spots});
         WITH RECURSIVE n(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM n LIMIT {tickets}),
             buyers(n, email) AS (SELECT n, printf('%016x@example.com', random()) FROM n)
         INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, expires_at)
             SELECT unhex(printf('0190%04x%04x70008000%012x', {event}, n >> 16, n)), {event},
                    email, email, 'reserved', unixepoch() * 1000, unixepoch() * 1000 + 3600000
             FROM buyers;
         INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party)
             SELECT event_id, 1 + row_number() OVER sold, created_at, 'reserved', seq, -1,
                    {spots} - row_number() OVER sold, 1
             FROM tickets WHERE event_id = {event} WINDOW sold AS (ORDER BY seq);
         {keys}
         COMMIT"
    )
}

/// Writes holds of an event that end at a moment (ms since the epoch), beside the server.
pub fn holds(path: &Path, event: i64, count: i64, expire_at: i64) {
    let id = postgres::numbered_id(path, &format!("{event:08x}"));
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, expires_at)
         SELECT {id}, {event}, 'buyer-' || i || '@example.com',
                'buyer-' || i || '@example.com', 'reserved', 1, {expire_at} FROM n;
         INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party)
         SELECT e.id, e.changes + row_number() OVER sold, 1, 'reserved', t.seq, -1,
                e.available_spots - row_number() OVER sold, 1
         FROM events AS e JOIN tickets AS t ON t.event_id = e.id
         WHERE e.id = {event}
         WINDOW sold AS (ORDER BY t.seq);
         UPDATE events SET available_spots = available_spots - {count}, changes = changes + {count}
         WHERE id = {event};"
    );
    postgres::change(path, &sql);
}

/// Puts so many into the line of an event, beside the server, each alone.
pub fn line(path: &Path, event: i64, count: i64) {
    let id = postgres::numbered_id(path, &format!("ff{event:06x}"));
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO tickets (ticket_id, event_id, email, email_folded, status, created_at, place)
         SELECT {id}, {event}, 'line-' || i || '@example.com',
                'line-' || i || '@example.com', 'waiting', 1,
                i + (SELECT joined FROM events WHERE id = {event}) FROM n;
         INSERT INTO ledger (event_id, n, at, kind, ticket_seq, spots, available_spots, party, waiting)
         SELECT e.id, e.changes + row_number() OVER line, 1, 'waiting', t.seq, 0, e.available_spots, 1,
                e.waiting + row_number() OVER line
         FROM events AS e JOIN tickets AS t ON t.event_id = e.id AND t.place > e.joined
         WHERE e.id = {event}
         WINDOW line AS (ORDER BY t.seq);
         INSERT INTO line_blocks SELECT {event}, place / 512, count(*) FROM tickets
         WHERE event_id = {event} AND status = 'waiting' GROUP BY place / 512
         ON CONFLICT (event_id, block) DO UPDATE SET waiting = excluded.waiting;
         UPDATE events SET joined = joined + {count}, waiting = waiting + {count}, changes = changes + {count}
         WHERE id = {event};"
    );
    postgres::change(path, &sql);
}

/// Whether an event has a hold that nobody has swept up.
pub fn has_holds(db: &Connection, event: i64) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM tickets WHERE event_id = ? AND status = 'reserved')";
    db.query_row(sql, [event], |row| row.get(0)).expect("reads")
}

/// The tickets of an event that wait to be confirmed, as a client writes their ids.
pub fn held_ticket_ids(path: &Path, event: i64) -> Vec<String> {
    let db = Connection::open(path).expect("opens");
    let sql = "SELECT ticket_id FROM tickets WHERE event_id = ? AND status = 'reserved'";
    let mut statement = db.prepare(sql).expect("prepares");
    let ids = statement
        .query_map([event], |row| row.get(0))
        .expect("queries");
    let written = |id: [u8; 16]| uuid::Uuid::from_bytes(id).to_string();
    ids.map(|id| written(id.expect("an id"))).collect()
}
