-- How many rows the event's ledger has.
SELECT changes FROM events WHERE id = :id;
