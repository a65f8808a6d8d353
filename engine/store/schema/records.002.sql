-- One signed row per node and UTC day: how far the chain had come when the day was over. Kept for ever.
CREATE TABLE anchor (
    node TEXT NOT NULL,
    day TEXT NOT NULL,         -- 2026-11-24
    last_seq INTEGER NOT NULL,
    last_hash TEXT NOT NULL,
    records INTEGER NOT NULL,  -- since the anchor before
    previous TEXT NOT NULL,    -- SHA-256 of what the anchor before signs
    key_id TEXT NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (node, day)
) WITHOUT ROWID;

CREATE TRIGGER anchor_is_never_changed BEFORE UPDATE ON anchor
BEGIN
    SELECT RAISE(ABORT, 'anchor is append-only');
END;

CREATE TRIGGER anchor_is_never_deleted BEFORE DELETE ON anchor
BEGIN
    SELECT RAISE(ABORT, 'anchor is append-only');
END;

-- What was removed because its time was over: whole days, up to an anchor that stays.
CREATE TABLE purge (
    node TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_hash TEXT NOT NULL,   -- prev_hash of the first record that is left
    first_day TEXT NOT NULL,
    last_day TEXT NOT NULL,
    at TEXT NOT NULL,          -- RFC 3339 UTC, when it was begun
    actor TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (node, last_seq)
) WITHOUT ROWID;

CREATE TRIGGER purge_takes_whole_days_of_two_years_ago BEFORE INSERT ON purge
WHEN coalesce(julianday(substr(NEW.at, 1, 10)) - julianday(NEW.last_day), 0) < 730
    OR NOT EXISTS (
        SELECT 1 FROM anchor
        WHERE node = NEW.node AND day = NEW.last_day AND last_seq = NEW.last_seq AND last_hash = NEW.last_hash
    )
BEGIN
    SELECT RAISE(ABORT, 'a purge takes whole days that are two years old');
END;

CREATE TRIGGER purge_is_never_changed BEFORE UPDATE ON purge
BEGIN
    SELECT RAISE(ABORT, 'purge is append-only');
END;

CREATE TRIGGER purge_is_never_deleted BEFORE DELETE ON purge
BEGIN
    SELECT RAISE(ABORT, 'purge is append-only');
END;

DROP TRIGGER cdr_is_never_deleted;

CREATE TRIGGER cdr_is_never_deleted BEFORE DELETE ON cdr
WHEN NOT EXISTS (
    SELECT 1 FROM purge WHERE node = OLD.node AND last_seq >= OLD.seq AND first_seq <= OLD.seq
)
BEGIN
    SELECT RAISE(ABORT, 'cdr is append-only');
END;

-- How many records of a UTC day of call_time were purged: `counter` goes on counting them.
CREATE TABLE purged_day (
    node TEXT NOT NULL,
    day TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (node, day)
) WITHOUT ROWID;

-- The run of the node that serves the row: each start counts one more (meta, owner_epoch) and takes over what it goes on
-- with.
ALTER TABLE call_open ADD COLUMN owner_epoch INTEGER NOT NULL DEFAULT 0;
