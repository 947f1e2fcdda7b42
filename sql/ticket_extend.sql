UPDATE tickets SET expires_at = :expires_at
WHERE seq = :seq AND status = 'reserved' AND expires_at > :now AND expires_at < :expires_at;
