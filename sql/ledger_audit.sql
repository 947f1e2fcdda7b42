SELECT seq, at, event_id, ticket_id, kind, spots FROM ledger ORDER BY seq;
