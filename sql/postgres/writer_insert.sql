INSERT INTO writers (id, batch) VALUES (:id, 0) ON CONFLICT (id) DO NOTHING;
