-- What a binding was is never overwritten. Each version is a row, in force from valid_from until the earlier of
-- valid_to (NULL while nobody has ended it) and expires_at: whole milliseconds, as they are shown. Only valid_to is
-- written later, and once. A record names its version by subs_id and binding_version.
CREATE TABLE binding_version (
    id INTEGER PRIMARY KEY,    -- order of creation
    subs_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    mode TEXT NOT NULL,
    tel_x TEXT NOT NULL,
    tel_y TEXT NOT NULL,
    tel_a BLOB,
    tel_b BLOB,
    group_id TEXT NOT NULL,
    business_user TEXT NOT NULL,
    app_platform TEXT NOT NULL,
    order_id TEXT NOT NULL,
    scenario TEXT NOT NULL,
    expires_at REAL NOT NULL,
    valid_from REAL NOT NULL,
    valid_to REAL,
    key_id TEXT NOT NULL,
    UNIQUE (subs_id, version)
);

INSERT INTO binding_version
    SELECT id, subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, app_platform, order_id,
        scenario, expires_at, round(created_at, 3), max(round(ended_at, 3), round(created_at, 3)), key_id
    FROM binding ORDER BY id;

DROP TABLE binding;

ALTER TABLE binding_version RENAME TO binding;

CREATE INDEX binding_of_x ON binding (tel_x);

CREATE TRIGGER binding_ends_once BEFORE UPDATE ON binding
WHEN OLD.valid_to IS NOT NULL OR NEW.valid_to IS NULL OR NEW.valid_to < OLD.valid_from
    OR (OLD.id, OLD.subs_id, OLD.version, OLD.mode, OLD.tel_x, OLD.tel_y, OLD.tel_a, OLD.tel_b, OLD.group_id,
        OLD.business_user, OLD.app_platform, OLD.order_id, OLD.scenario, OLD.expires_at, OLD.valid_from, OLD.key_id)
    IS NOT (NEW.id, NEW.subs_id, NEW.version, NEW.mode, NEW.tel_x, NEW.tel_y, NEW.tel_a, NEW.tel_b, NEW.group_id,
        NEW.business_user, NEW.app_platform, NEW.order_id, NEW.scenario, NEW.expires_at, NEW.valid_from, NEW.key_id)
BEGIN
    SELECT RAISE(ABORT, 'a binding is never changed, only ended, and once');
END;

CREATE TRIGGER binding_is_never_deleted BEFORE DELETE ON binding
BEGIN
    SELECT RAISE(ABORT, 'a binding is never deleted');
END;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;

CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
