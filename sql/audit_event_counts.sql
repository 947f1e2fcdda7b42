-- Of the one event that is looked at.
SELECT (SELECT count(*) FROM tickets), (SELECT count(*) FROM ledger),
       (SELECT CAST(coalesce(sum(spots), 0) AS bigint) FROM tickets WHERE status = 'confirmed');
