SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM tickets),
       (SELECT count(*) FROM ledger), (SELECT count(*) FROM idempotency_keys);
