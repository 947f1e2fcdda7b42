//! What must hold in the database at every moment, whatever was sent to the server.

use rusqlite::{Connection, Result};

/// Panics unless every invariant holds.
#[track_caller]
pub fn assert_invariants(db: &Connection) {
    let broken = check_invariants(db).expect("reads the database");
    assert!(broken.is_empty(), "broken invariants: {broken:#?}");
}

/// Every broken invariant, as a sentence. Reads one snapshot, so a running server is no harm.
pub fn check_invariants(db: &Connection) -> Result<Vec<String>> {
    let snapshot = db.unchecked_transaction()?;
    let mut broken = Vec::new();
    let integrity: String = snapshot.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if integrity != "ok" {
        broken.push(format!("integrity_check says {integrity}"));
    }
    broken.extend(check_events(&snapshot)?);
    broken.extend(check_running_sums(&snapshot)?);
    broken.extend(check_tickets(&snapshot)?);
    broken.extend(check_lines(&snapshot)?);
    Ok(broken)
}

/// An event's free spots, counted in three ways.
fn check_events(db: &Connection) -> Result<Vec<String>> {
    let sql = "
        SELECT id, total_spots, available_spots,
               (SELECT coalesce(sum(spots), 0) FROM ledger WHERE event_id = events.id),
               (SELECT coalesce(sum(spots), 0) FROM ledger
                WHERE event_id = events.id AND kind IN ('created', 'changed')),
               (SELECT coalesce(sum(spots), 0) FROM tickets
                WHERE event_id = events.id AND status IN ('reserved', 'confirmed'))
        FROM events";
    let mut broken = Vec::new();
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, total, available): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (ledger_sum, capacity, live): (i64, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
        if ledger_sum != available || available != total - live || capacity != total {
            broken.push(format!(
                "event {id}: available_spots {available}, ledger {ledger_sum}, \
                 {total} spots (ledger {capacity}) less the {live} of live tickets"
            ));
        }
    }
    Ok(broken)
}

/// The sum of the ledger after each of its rows: not one moment may have oversold.
fn check_running_sums(db: &Connection) -> Result<Vec<String>> {
    let sql = "
        SELECT n, event_id, running, capacity
        FROM (SELECT n, event_id, available_spots, sum(spots) OVER life AS running,
                     sum(iif(kind IN ('created', 'changed'), spots, 0)) OVER life AS capacity
              FROM ledger WINDOW life AS (PARTITION BY event_id ORDER BY n))
        WHERE running NOT BETWEEN 0 AND capacity OR running <> available_spots";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (seq, event): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (running, total): (i64, i64) = (row.get(2)?, row.get(3)?);
        Ok(format!(
            "event {event}: {running} of {total} spots free after ledger row {seq}"
        ))
    })?;
    rows.collect()
}

/// A ticket takes its spots while it lives and gives each back once, and the ledger tells the same
/// life as its row.
fn check_tickets(db: &Connection) -> Result<Vec<String>> {
    let sql = "
        SELECT tickets.seq, status,
               group_concat(kind, ' ' ORDER BY ledger.n)
                   FILTER (WHERE kind NOT IN ('extended', 'reduced', 'checked_in')) AS life,
               sum(ledger.spots) + iif(status IN ('cancelled', 'waiting'), 0, tickets.spots) AS balance,
               sum(iif(kind = 'checked_in', party, 0)) AS came_in
        FROM tickets LEFT JOIN ledger ON ledger.ticket_seq = tickets.seq
        GROUP BY tickets.seq
        HAVING balance IS NOT 0 OR came_in IS NOT checked_in_spots
            OR coalesce(status || ':' || life, '') NOT IN
               ('waiting:waiting', 'cancelled:waiting cancelled',
                'reserved:waiting offered', 'confirmed:waiting offered confirmed',
                'cancelled:waiting offered expired', 'cancelled:waiting offered cancelled',
                'cancelled:waiting offered confirmed cancelled',
                'reserved:reserved', 'confirmed:reserved confirmed',
                'cancelled:reserved expired', 'cancelled:reserved cancelled',
                'cancelled:reserved confirmed cancelled')";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (ticket, status): (i64, String) = (row.get(0)?, row.get(1)?);
        let (life, balance): (Option<String>, Option<i64>) = (row.get(2)?, row.get(3)?);
        Ok(format!(
            "ticket {ticket} is {status}; its ledger: {life:?}, balance {balance:?}"
        ))
    })?;
    rows.collect()
}

/// Nobody in line fits into what is free, as long as nobody closes sales; and the line is counted.
fn check_lines(db: &Connection) -> Result<Vec<String>> {
    let sql = "
        SELECT id, available_spots, waiting, least, in_line, counted
        FROM (SELECT id, available_spots, waiting, status, sales_open_at, sales_close_at,
                     (SELECT min(spots) FROM tickets
                      WHERE event_id = events.id AND status = 'waiting') AS least,
                     (SELECT count(*) FROM tickets
                      WHERE event_id = events.id AND status = 'waiting') AS in_line,
                     (SELECT coalesce(sum(waiting), 0) FROM line_blocks
                      WHERE event_id = events.id) AS counted
              FROM events)
        WHERE in_line <> waiting OR in_line <> counted OR status = 'cancelled' AND in_line > 0
           OR least <= available_spots AND sales_open_at IS NULL AND sales_close_at IS NULL";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (event, free, told): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (least, in_line, counted): (Option<i64>, i64, i64) =
            (row.get(3)?, row.get(4)?, row.get(5)?);
        Ok(format!(
            "event {event} has {free} free and {told} in line; there are {in_line} ({counted}), \
             the smallest party is {least:?}"
        ))
    })?;
    rows.collect()
}
