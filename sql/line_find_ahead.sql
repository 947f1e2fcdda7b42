-- How many stand before a place: the blocks before its own, and who is before it there.
SELECT CAST(
    (SELECT coalesce(sum(waiting), 0) FROM line_blocks WHERE event_id = :event_id AND block < CAST(:place AS bigint) / 512)
    + (SELECT count(*) FROM tickets
       WHERE event_id = :event_id AND status = 'waiting' AND place < :place AND place >= :place / 512 * 512)
    AS bigint);
