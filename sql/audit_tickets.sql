-- Each ticket, and the life that its ledger rows tell.
WITH life AS (
    SELECT ticket_seq, min(event_id) AS event_id, max(event_id) AS last_event_id,
           string_agg(kind, ' ' ORDER BY n) AS steps, min(n) AS first_n,
           max(CASE WHEN kind = 'reserved' THEN at END) AS reserved_at,
           max(CASE WHEN kind = 'confirmed' THEN at END) AS confirmed_at,
           max(CASE WHEN kind = 'checked_in' THEN at END) AS checked_in_at,
           max(CASE WHEN kind = 'cancelled' THEN at END) AS cancelled_at,
           max(CASE WHEN kind = 'expired' THEN at END) AS expired_at
    FROM ledger
    WHERE ticket_seq IS NOT NULL
    GROUP BY ticket_seq
), called_off AS (
    SELECT event_id, max(at) AS at FROM ledger WHERE kind = 'event_cancelled' GROUP BY event_id
), told AS (
    SELECT t.seq, t.event_id, t.status, t.cancel_reason, t.created_at, t.expires_at,
           t.confirmed_at, t.cancelled_at, t.checked_in_at,
           l.ticket_seq, l.event_id AS told_event_id, l.last_event_id, l.steps, l.first_n, l.reserved_at,
           l.confirmed_at AS told_confirmed_at, l.checked_in_at AS told_checked_in_at, l.expired_at,
           CASE WHEN l.expired_at IS NOT NULL THEN t.expires_at ELSE l.cancelled_at END AS told_cancelled_at,
           CASE WHEN l.expired_at IS NOT NULL OR l.cancelled_at IS NOT NULL THEN 'cancelled'
                WHEN l.confirmed_at IS NOT NULL THEN 'confirmed' ELSE 'reserved' END AS told_status,
           CASE WHEN l.expired_at IS NOT NULL THEN 'expired'
                WHEN l.cancelled_at IS NULL THEN NULL
                WHEN l.cancelled_at = c.at AND t.cancel_reason = 'organizer' THEN 'organizer'
                ELSE 'holder' END AS told_reason,
           c.at AS called_off_at
    FROM life AS l
    LEFT JOIN tickets AS t ON t.seq = l.ticket_seq
    LEFT JOIN called_off AS c ON c.event_id = t.event_id
), found AS (
    SELECT CASE WHEN seq IS NULL THEN 'ticket ' || ticket_seq || ' of ledger row ' || first_n || ' of event ' || told_event_id || ' is missing'
           END AS missing,
           CASE WHEN steps NOT IN ('reserved', 'reserved confirmed', 'reserved confirmed checked_in',
                                   'reserved expired', 'reserved cancelled', 'reserved confirmed cancelled',
                                   'reserved confirmed checked_in cancelled')
                THEN 'no ticket can be ' || steps || ', as ticket ' || ticket_seq || ' was'
                WHEN told_event_id <> last_event_id
                THEN 'ticket ' || ticket_seq || ' is in the ledgers of events ' || told_event_id || ' and ' || last_event_id
                WHEN told_checked_in_at IS NOT NULL AND told_reason = 'holder'
                THEN 'ticket ' || seq || ' was given back after its holder had come in'
                WHEN told_confirmed_at >= expires_at
                THEN 'ticket ' || seq || ' was confirmed after its hold had ended'
                WHEN expired_at < expires_at
                THEN 'the hold of ticket ' || seq || ' was ended too early'
                WHEN called_off_at IS NOT NULL
                     AND (told_status = 'confirmed' OR told_status = 'reserved' AND expires_at > called_off_at)
                THEN 'ticket ' || seq || ' outlives its event'
           END AS transition,
           CASE WHEN event_id <> told_event_id OR status <> told_status OR cancel_reason IS DISTINCT FROM told_reason
                THEN 'ticket ' || seq || ' of event ' || event_id || ' is ' || status || coalesce(' (' || cancel_reason || ')', '')
                     || ', its ledger says of event ' || told_event_id || ', ' || told_status || coalesce(' (' || told_reason || ')', '')
           END AS ticket_state,
           CASE WHEN created_at IS DISTINCT FROM reserved_at OR confirmed_at IS DISTINCT FROM told_confirmed_at
                  OR cancelled_at IS DISTINCT FROM told_cancelled_at OR checked_in_at IS DISTINCT FROM told_checked_in_at
                THEN 'ticket ' || seq || ' was not reserved, confirmed, cancelled and checked in when its ledger says'
           END AS ticket_times
    FROM told
    WHERE seq IS NULL
       OR steps NOT IN ('reserved', 'reserved confirmed', 'reserved expired', 'reserved cancelled', 'reserved confirmed cancelled')
       OR event_id <> told_event_id OR event_id <> last_event_id OR called_off_at IS NOT NULL
       OR status <> told_status OR cancel_reason IS DISTINCT FROM told_reason
       OR created_at <> reserved_at OR confirmed_at IS DISTINCT FROM told_confirmed_at
       OR cancelled_at IS DISTINCT FROM told_cancelled_at OR checked_in_at IS DISTINCT FROM told_checked_in_at
       OR told_confirmed_at >= expires_at OR expired_at < expires_at
)
SELECT missing, transition, ticket_state, ticket_times FROM found
WHERE missing IS NOT NULL OR transition IS NOT NULL OR ticket_state IS NOT NULL OR ticket_times IS NOT NULL
UNION ALL
SELECT 'ticket ' || seq || ' is not in the ledger', NULL, NULL, NULL
FROM (SELECT seq FROM tickets EXCEPT SELECT ticket_seq FROM ledger) AS untold;
