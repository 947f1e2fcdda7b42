-- Of the one event that is looked at.
SELECT (SELECT count(*) FROM tickets), (SELECT count(*) FROM ledger),
       (SELECT coalesce(sum(spots), 0) FROM tickets WHERE status = 'confirmed');
