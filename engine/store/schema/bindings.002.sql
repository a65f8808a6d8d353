-- Why somebody looked at what is shown only with a reason; "" where none was given, and in rows from before.
ALTER TABLE audit ADD COLUMN reason TEXT NOT NULL DEFAULT '';
