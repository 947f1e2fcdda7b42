UPDATE tickets SET checked_in_at = :now
WHERE seq = :seq AND status = 'confirmed' AND checked_in_at IS NULL;
