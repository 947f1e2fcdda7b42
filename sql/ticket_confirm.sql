UPDATE tickets SET status = 'confirmed', confirmed_at = :now
WHERE seq = :seq AND status = 'reserved' AND expires_at > :now;
