-- From here to its end the transaction owns these events, and those of these tickets. (Rows that refer
-- to them may come meanwhile.)
SELECT id FROM events
WHERE id IN (SELECT unnest(:events::bigint[])
             UNION ALL
             SELECT event_id FROM tickets WHERE ticket_id = ANY (:tickets::bytea[]))
ORDER BY id
FOR NO KEY UPDATE;
