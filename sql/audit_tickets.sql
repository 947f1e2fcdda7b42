-- Each ticket, and the life that its ledger rows tell. What may happen more than once, or does not
-- change the status, is no step of it: it is looked at by its place among them.
WITH life AS (
    SELECT ticket_seq, min(event_id) AS event_id, max(event_id) AS last_event_id,
           replace(string_agg(CASE WHEN kind IN ('extended', 'reduced', 'checked_in') THEN NULL ELSE kind END, ' ' ORDER BY n),
                   'waiting offered', 'reserved') AS steps,
           min(n) AS first_n, max(n) AS last_n,
           max(CASE WHEN kind IN ('expired', 'cancelled') THEN n END) AS ended_n,
           max(CASE WHEN kind IN ('reserved', 'offered') THEN n END) AS held_n,
           max(CASE WHEN kind = 'confirmed' THEN n END) AS confirmed_n,
           max(CASE WHEN kind = 'extended' THEN n END) AS extended_n,
           max(CASE WHEN kind = 'reduced' THEN n END) AS reduced_n,
           min(CASE WHEN kind = 'checked_in' THEN n END) AS checked_in_n,
           max(CASE WHEN kind IN ('reserved', 'waiting') THEN at END) AS created_at,
           max(CASE WHEN kind = 'offered' THEN at END) AS offered_at,
           max(CASE WHEN kind = 'confirmed' THEN at END) AS confirmed_at,
           min(CASE WHEN kind = 'checked_in' THEN at END) AS checked_in_at,
           max(CASE WHEN kind = 'cancelled' THEN at END) AS cancelled_at,
           max(CASE WHEN kind = 'expired' THEN at END) AS expired_at,
           sum(spots) AS balance,
           sum(CASE kind WHEN 'reserved' THEN party WHEN 'waiting' THEN party WHEN 'reduced' THEN -party ELSE 0 END) AS spots,
           sum(CASE WHEN kind = 'checked_in' THEN party ELSE 0 END) AS checked_in_spots,
           max(payment_ref) AS payment_ref
    FROM ledger
    WHERE ticket_seq IS NOT NULL
    GROUP BY ticket_seq
), called_off AS (
    SELECT event_id, max(at) AS at FROM ledger WHERE kind = 'event_cancelled' GROUP BY event_id
), told AS (
    SELECT t.seq, t.event_id, t.status, t.cancel_reason, t.created_at, t.expires_at,
           t.confirmed_at, t.cancelled_at, t.checked_in_at, t.offered_at, t.spots, t.checked_in_spots, t.payment_ref,
           l.ticket_seq, l.event_id AS told_event_id, l.last_event_id, l.steps, l.first_n,
           l.created_at AS told_created_at, l.offered_at AS told_offered_at,
           l.confirmed_at AS told_confirmed_at, l.checked_in_at AS told_checked_in_at, l.expired_at,
           l.spots AS told_spots, l.checked_in_spots AS told_checked_in_spots, l.payment_ref AS told_payment_ref,
           l.balance <> CASE WHEN l.ended_n IS NULL AND l.held_n IS NOT NULL THEN -l.spots ELSE 0 END
           OR l.ended_n < l.last_n
           OR l.extended_n < l.held_n OR l.extended_n > coalesce(l.confirmed_n, l.last_n)
           OR l.checked_in_n < coalesce(l.confirmed_n, l.last_n)
           OR l.reduced_n > l.checked_in_n AS is_disordered,
           CASE WHEN l.expired_at IS NOT NULL THEN t.expires_at ELSE l.cancelled_at END AS told_cancelled_at,
           CASE WHEN l.expired_at IS NOT NULL OR l.cancelled_at IS NOT NULL THEN 'cancelled'
                WHEN l.confirmed_at IS NOT NULL THEN 'confirmed'
                WHEN l.held_n IS NOT NULL THEN 'reserved' ELSE 'waiting' END AS told_status,
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
           CASE WHEN steps IS NULL
                  OR steps NOT IN ('reserved', 'reserved confirmed', 'reserved expired', 'reserved cancelled', 'reserved confirmed cancelled',
                                   'waiting', 'waiting cancelled')
                THEN 'no ticket can be ' || coalesce(steps, 'nothing') || ', as ticket ' || ticket_seq || ' was'
                WHEN is_disordered
                THEN 'ticket ' || ticket_seq || ' was extended, made smaller or let in when it could not be'
                WHEN told_event_id <> last_event_id
                THEN 'ticket ' || ticket_seq || ' is in the ledgers of events ' || told_event_id || ' and ' || last_event_id
                WHEN told_checked_in_at IS NOT NULL AND told_reason = 'holder'
                THEN 'ticket ' || seq || ' was given back after its holder had come in'
                WHEN told_confirmed_at >= expires_at
                THEN 'ticket ' || seq || ' was confirmed after its hold had ended'
                WHEN expired_at < expires_at
                THEN 'the hold of ticket ' || seq || ' was ended too early'
                WHEN called_off_at IS NOT NULL
                     AND (told_status = 'confirmed' OR told_status = 'waiting' OR told_status = 'reserved' AND expires_at > called_off_at)
                THEN 'ticket ' || seq || ' outlives its event'
           END AS transition,
           CASE WHEN event_id <> told_event_id OR status <> told_status OR cancel_reason IS DISTINCT FROM told_reason
                THEN 'ticket ' || seq || ' of event ' || event_id || ' is ' || status || coalesce(' (' || cancel_reason || ')', '')
                     || ', its ledger says of event ' || told_event_id || ', ' || told_status || coalesce(' (' || told_reason || ')', '')
                WHEN spots <> told_spots OR checked_in_spots <> told_checked_in_spots
                THEN 'ticket ' || seq || ' has ' || spots || ' spots, ' || checked_in_spots || ' of them in, its ledger says '
                     || told_spots || ' and ' || told_checked_in_spots
                WHEN payment_ref IS DISTINCT FROM told_payment_ref
                THEN 'ticket ' || seq || ' has another payment_ref than its ledger'
           END AS ticket_state,
           CASE WHEN created_at IS DISTINCT FROM told_created_at OR offered_at IS DISTINCT FROM told_offered_at OR confirmed_at IS DISTINCT FROM told_confirmed_at
                  OR cancelled_at IS DISTINCT FROM told_cancelled_at OR checked_in_at IS DISTINCT FROM told_checked_in_at
                THEN 'ticket ' || seq || ' was not reserved, confirmed, cancelled and checked in when its ledger says'
           END AS ticket_times
    FROM told
    WHERE seq IS NULL OR steps IS NULL OR is_disordered
       OR steps NOT IN ('reserved', 'reserved confirmed', 'reserved expired', 'reserved cancelled', 'reserved confirmed cancelled',
                                   'waiting', 'waiting cancelled')
       OR told_checked_in_at IS NOT NULL
       OR event_id <> told_event_id OR event_id <> last_event_id OR called_off_at IS NOT NULL
       OR status <> told_status OR cancel_reason IS DISTINCT FROM told_reason
       OR spots <> told_spots OR checked_in_spots <> told_checked_in_spots OR payment_ref IS DISTINCT FROM told_payment_ref
       OR created_at IS DISTINCT FROM told_created_at OR offered_at IS DISTINCT FROM told_offered_at OR confirmed_at IS DISTINCT FROM told_confirmed_at
       OR cancelled_at IS DISTINCT FROM told_cancelled_at OR checked_in_at IS DISTINCT FROM told_checked_in_at
       OR told_confirmed_at >= expires_at OR expired_at < expires_at
)
SELECT missing, transition, ticket_state, ticket_times FROM found
WHERE missing IS NOT NULL OR transition IS NOT NULL OR ticket_state IS NOT NULL OR ticket_times IS NOT NULL
UNION ALL
SELECT 'ticket ' || seq || ' is not in the ledger', NULL, NULL, NULL
FROM (SELECT seq FROM tickets EXCEPT SELECT ticket_seq FROM ledger) AS untold;
