UPDATE tickets SET spots = spots - :spots
WHERE seq = :seq AND spots > :spots AND checked_in_at IS NULL
  AND (status = 'confirmed' OR status = 'reserved' AND expires_at > :now OR status = 'waiting');
