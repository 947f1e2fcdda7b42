-- What an audit of one event sees: views that stand in front of the tables of the same names. Of its
-- tickets those that its ledger names, and those that are live.
CREATE TEMP VIEW events AS SELECT * FROM main.events WHERE id = :event_id;
CREATE TEMP VIEW ledger AS SELECT * FROM main.ledger WHERE event_id = :event_id;
CREATE TEMP VIEW tickets AS SELECT * FROM main.tickets
WHERE seq IN (SELECT ticket_seq FROM main.ledger WHERE event_id = :event_id)
   OR event_id = :event_id AND status <> 'cancelled';
