-- For so many ledger rows.
UPDATE events
SET available_spots = available_spots + :spots, waiting = waiting + :waiting, changes = changes + :changes
WHERE id = :id;
