-- The hold ended at expires_at, whenever somebody comes to write it down.
UPDATE tickets SET status = 'cancelled', cancel_reason = 'expired', cancelled_at = expires_at
WHERE seq = :seq AND status = 'reserved' AND expires_at <= :now;
