-- One transaction at a time makes events, so that they become visible in the order of their ids.
SELECT pg_advisory_xact_lock(1280525633);
