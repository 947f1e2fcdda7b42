-- All live tickets of an event that is called off, those of people who came in included.
UPDATE tickets SET status = 'cancelled', cancel_reason = 'organizer', cancelled_at = :now, checked_in_at = NULL
WHERE event_id = :event_id AND status <> 'cancelled';
