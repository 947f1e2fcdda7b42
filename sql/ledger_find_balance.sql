-- What a row left free.
SELECT available_spots FROM ledger WHERE event_id = :event_id AND n = :n;
