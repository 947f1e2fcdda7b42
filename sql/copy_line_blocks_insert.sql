INSERT INTO line_blocks (event_id, block, waiting)
VALUES (:event_id, :block, :waiting);
