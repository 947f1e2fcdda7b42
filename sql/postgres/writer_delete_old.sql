-- Servers that have committed nothing for so long are gone.
DELETE FROM writers WHERE at < now() - interval '30 days';
