UPDATE line_blocks
SET waiting = (SELECT count(*) FROM tickets
               WHERE event_id = line_blocks.event_id AND status = 'waiting'
                 AND place >= line_blocks.block * 512 AND place < (line_blocks.block + 1) * 512)
WHERE event_id = :event_id;
