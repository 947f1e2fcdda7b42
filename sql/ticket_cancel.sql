UPDATE tickets SET status = 'cancelled', cancel_reason = 'holder', cancelled_at = :now
WHERE seq = :seq AND checked_in_at IS NULL
  AND (status = 'confirmed' OR status = 'reserved' AND expires_at > :now OR status = 'waiting');
