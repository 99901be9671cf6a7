-- By whose word the copy that is kept is what it is: which dialects share its message ids ('' in rows of older releases), and
-- whether it is verified. `displaced_by`: the id of the verified copy that took its place, where there is one. The event is
-- stored no more then, and the row has the greatest precedence of all.
ALTER TABLE first_copy ADD COLUMN IF NOT EXISTS family LowCardinality(String) DEFAULT '';
ALTER TABLE first_copy ADD COLUMN IF NOT EXISTS verified Bool DEFAULT false;
ALTER TABLE first_copy ADD COLUMN IF NOT EXISTS displaced_by FixedString(16) DEFAULT toFixedString('', 16);
