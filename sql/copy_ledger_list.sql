SELECT n, event_id, n, at, kind, ticket_seq, spots, available_spots, party, payment_ref, waiting
FROM ledger
WHERE event_id = :event_id AND n > :after
ORDER BY n
LIMIT :limit;
