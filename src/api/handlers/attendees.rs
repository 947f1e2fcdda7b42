//! An event's tickets as CSV (RFC 4180), for a spreadsheet.

use csv::{QuoteStyle, Terminator, WriterBuilder};

use super::Handled;
use crate::api::endpoint::Outcome;
use crate::api::state::Context;
use crate::box_office::{self, TicketFilter};
use crate::error::Error;
use crate::message::{Body, CSV, Response};
use crate::model::{Ticket, Timestamp};
use crate::store::Db;

/// So many are read and sent at a time.
const TICKETS_PER_PIECE: usize = 500;

const COLUMNS: [&str; 13] = [
    "ticket_id",
    "event_id",
    "email",
    "status",
    "created_at",
    "expires_at",
    "confirmed_at",
    "cancelled_at",
    "cancel_reason",
    "checked_in_at",
    "spots",
    "checked_in_spots",
    "payment_ref",
];

/// Each ticket that was there at the beginning is in it once, as it was when its piece was read. No
/// connection and no snapshot is held while a piece is being sent, however slowly it is taken.
pub fn export(context: &Context, filter: TicketFilter) -> Handled {
    let event_id = filter.event_id;
    let file = format!("attachment; filename=\"event-{event_id}-tickets.csv\"");
    let mut response = Response::new(200, CSV, Vec::new()).header("Content-Disposition", &file);
    let state = context.state.clone();
    let first = read_piece(context.db, state.clock.now(), filter, None)?;
    let mut after = first.last;
    let more = move || {
        let now = state.clock.now();
        let piece = state.read_for_export(|db| read_piece(db, now, filter, Some(after)));
        let piece = piece.map_err(std::io::Error::other)?;
        after = piece.last;
        Ok(piece.csv)
    };
    response.body = Body::InPieces(first.csv, Box::new(more));
    Ok(Outcome::Respond(response))
}

/// What such a file begins with.
pub fn csv_head() -> String {
    let line = piece(true, std::iter::empty()).unwrap_or_default();
    String::from_utf8_lossy(&line).into_owned()
}

struct Piece {
    csv: Vec<u8>,
    /// The position of the last ticket in it.
    last: i64,
}

/// `after` None: the first, with the names of the columns.
fn read_piece(
    db: &Db,
    now: Timestamp,
    filter: TicketFilter,
    after: Option<i64>,
) -> Result<Piece, Error> {
    let from = after.unwrap_or(0);
    let tickets =
        db.read(|tx| box_office::list_tickets(tx, now, filter, from, TICKETS_PER_PIECE))?;
    let csv = piece(after.is_none(), tickets.iter().map(|(_, ticket)| ticket));
    Ok(Piece {
        csv: csv.map_err(|e| Error::Internal(e.to_string()))?,
        last: tickets.last().map_or(from, |(position, _)| *position),
    })
}

fn piece<'t>(first: bool, tickets: impl Iterator<Item = &'t Ticket>) -> csv::Result<Vec<u8>> {
    let mut csv = WriterBuilder::new()
        .quote_style(QuoteStyle::Always)
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    if first {
        csv.write_record(COLUMNS)?;
    }
    for ticket in tickets {
        let row = row(ticket);
        csv.write_record(row.iter().map(|cell| harmless(cell)))?;
    }
    csv.into_inner().map_err(|e| e.into_error().into())
}

/// In the order of `COLUMNS`.
fn row(ticket: &Ticket) -> [String; 13] {
    let time = |t: Option<crate::model::Timestamp>| t.map(|t| t.to_string()).unwrap_or_default();
    [
        ticket.ticket_id.to_string(),
        ticket.event_id.to_string(),
        ticket.email.clone(),
        ticket.status.as_str().to_owned(),
        ticket.created_at.to_string(),
        time(ticket.expires_at),
        time(ticket.confirmed_at),
        time(ticket.cancelled_at),
        ticket
            .cancel_reason
            .map(|r| r.as_str().to_owned())
            .unwrap_or_default(),
        time(ticket.checked_in_at),
        ticket.spots.to_string(),
        ticket
            .checked_in_spots
            .map(|n| n.to_string())
            .unwrap_or_default(),
        ticket.payment_ref.clone().unwrap_or_default(),
    ]
}

/// A spreadsheet takes a cell that begins like this for a formula, and an address is what a stranger
/// has typed; some split cells at other separators too. An apostrophe in front makes it text.
fn harmless(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len() + 1);
    let mut begins = true;
    for c in cell.chars() {
        let is_formula = matches!(
            c,
            '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\t' | '\r'
        );
        if begins && is_formula {
            text.push('\'');
        }
        begins =
            matches!(c, ',' | ';' | '|' | '"' | '\t' | '\r' | '\n' | ' ') && (begins || c != ' ');
        text.push(c);
    }
    text
}
