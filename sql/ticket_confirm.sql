UPDATE tickets SET status = 'confirmed', confirmed_at = :now, payment_ref = :payment_ref
WHERE seq = :seq AND status = 'reserved' AND expires_at > :now;
