UPDATE tickets SET status = 'reserved', offered_at = :now, expires_at = :expires_at
WHERE seq = :seq AND status = 'waiting';
