SELECT 'tickets ' || min(seq) || ' and ' || max(seq) || ' have one id' AS live_twice
FROM tickets
GROUP BY ticket_id
HAVING count(*) > 1;
