-- For so many ledger rows.
UPDATE events SET available_spots = available_spots - :spots, changes = changes + :changes
WHERE id = :id AND available_spots >= :spots;
