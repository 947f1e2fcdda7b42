-- Of the one event that is looked at.
SELECT (SELECT count(*) FROM tickets), (SELECT count(*) FROM ledger),
       (SELECT count(*) FROM tickets WHERE status = 'confirmed');
