-- The time, and that of the last change of any of these events, or of these tickets' events.
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       (SELECT coalesce(max(l.at), 0)
        FROM events AS e JOIN ledger AS l ON l.event_id = e.id AND l.n = e.changes
        WHERE e.id IN (SELECT unnest(:events::bigint[])
                       UNION ALL
                       SELECT event_id FROM tickets WHERE ticket_id = ANY (:tickets::bytea[])));
