-- What a row left free, and in line.
SELECT available_spots, waiting FROM ledger WHERE event_id = :event_id AND n = :n;
