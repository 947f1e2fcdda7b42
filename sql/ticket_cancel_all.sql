-- All live tickets of an event that is called off. Who came in has come in.
UPDATE tickets SET status = 'cancelled', cancel_reason = 'organizer', cancelled_at = :now
WHERE event_id = :event_id AND status <> 'cancelled' AND (status <> 'reserved' OR expires_at > :now);
