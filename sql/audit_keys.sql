-- Keys whose ticket or event there is not.
SELECT CASE WHEN k.ticket_seq IS NOT NULL THEN 'key ' || k.seq || ' was used for ticket ' || k.ticket_seq || ', which is missing'
            ELSE 'key ' || k.seq || ' was used for event ' || coalesce(k.event_id, 0) || ', which is missing'
       END AS key_without_ticket
FROM idempotency_keys AS k
WHERE NOT EXISTS (SELECT 1 FROM tickets WHERE seq = k.ticket_seq)
  AND NOT EXISTS (SELECT 1 FROM events WHERE id = k.event_id);
