-- So many entries more, or fewer, around a place.
INSERT INTO line_blocks (event_id, block, waiting) VALUES (:event_id, CAST(:place AS bigint) / 512, 1)
ON CONFLICT (event_id, block) DO UPDATE SET waiting = line_blocks.waiting + :entries;
