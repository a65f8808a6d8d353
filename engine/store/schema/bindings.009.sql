-- Whether anything may stand beside a binding at all: a restriction, a black list, a scenario with limits. A call asks
-- this one row first, in the statement that finds its target, and looks into the three only where it says so.
CREATE VIEW condition AS
    SELECT 1 FROM restriction
    UNION ALL SELECT 1 FROM blacklist
    UNION ALL SELECT 1 FROM scenario WHERE max_call_s OR hours != '' OR calls_per_day;

CREATE TABLE beside (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    is_any INTEGER NOT NULL CHECK (is_any IN (0, 1))
);

INSERT INTO beside SELECT 1, EXISTS (SELECT 1 FROM condition);

-- Kept in the transaction of whoever writes, and written only when it changes. That a row is there does not change by
-- an UPDATE, but that a scenario has limits does.

CREATE TRIGGER restriction_insert_is_beside AFTER INSERT ON restriction
BEGIN
    UPDATE beside SET is_any = NOT is_any WHERE is_any != EXISTS (SELECT 1 FROM condition);
END;

CREATE TRIGGER restriction_delete_is_beside AFTER DELETE ON restriction
BEGIN
    UPDATE beside SET is_any = NOT is_any WHERE is_any != EXISTS (SELECT 1 FROM condition);
END;

CREATE TRIGGER blacklist_insert_is_beside AFTER INSERT ON blacklist
BEGIN
    UPDATE beside SET is_any = NOT is_any WHERE is_any != EXISTS (SELECT 1 FROM condition);
END;

CREATE TRIGGER blacklist_delete_is_beside AFTER DELETE ON blacklist
BEGIN
    UPDATE beside SET is_any = NOT is_any WHERE is_any != EXISTS (SELECT 1 FROM condition);
END;

CREATE TRIGGER scenario_insert_is_beside AFTER INSERT ON scenario
BEGIN
    UPDATE beside SET is_any = NOT is_any WHERE is_any != EXISTS (SELECT 1 FROM condition);
END;

CREATE TRIGGER scenario_update_is_beside AFTER UPDATE ON scenario
BEGIN
    UPDATE beside SET is_any = NOT is_any WHERE is_any != EXISTS (SELECT 1 FROM condition);
END;

CREATE TRIGGER scenario_delete_is_beside AFTER DELETE ON scenario
BEGIN
    UPDATE beside SET is_any = NOT is_any WHERE is_any != EXISTS (SELECT 1 FROM condition);
END;
