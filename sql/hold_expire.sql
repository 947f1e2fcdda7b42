-- The holds ended at expires_at, whenever somebody comes to write it down. The longest expired
-- first, as in ledger_insert_expired.
UPDATE tickets SET status = 'cancelled', cancel_reason = 'expired', cancelled_at = expires_at
WHERE seq IN (SELECT seq FROM tickets
              WHERE event_id = :event_id AND status = 'reserved' AND expires_at <= :now
              ORDER BY expires_at, seq
              LIMIT :limit);
