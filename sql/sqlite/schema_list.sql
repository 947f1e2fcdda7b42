-- What SQLite makes by itself (the index of a UNIQUE column) has no text.
SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name;
