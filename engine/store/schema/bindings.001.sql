-- bindings.db: inventory, bindings, audit. Blobs are AES-256-SIV cipher text under the key named in key_id,
-- associated data "table.column". Times ending in _at are seconds since the epoch (UTC), days are 2026-11-24.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE app_platform (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    licence_no TEXT NOT NULL,
    approval_no TEXT NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE business_user (
    id TEXT PRIMARY KEY,
    app_platform TEXT NOT NULL REFERENCES app_platform (id),
    name TEXT NOT NULL,
    uscc TEXT NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE contract (
    id TEXT PRIMARY KEY,
    app_platform TEXT NOT NULL REFERENCES app_platform (id),
    business_user TEXT NOT NULL REFERENCES business_user (id),
    from_day TEXT NOT NULL,
    to_day TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE scenario (
    code TEXT PRIMARY KEY,
    risk_class INTEGER NOT NULL,
    modes TEXT NOT NULL,       -- JSON array
    max_ttl_s INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE number_block (
    prefix TEXT PRIMARY KEY,   -- 11 digits: 10,000 numbers
    operator TEXT NOT NULL,
    app_platform TEXT NOT NULL REFERENCES app_platform (id),
    business_user TEXT NOT NULL REFERENCES business_user (id),
    certificate_no TEXT NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE binding (
    id INTEGER PRIMARY KEY,    -- order of creation
    subs_id TEXT NOT NULL UNIQUE,
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
    created_at REAL NOT NULL,
    state TEXT NOT NULL,       -- active | unbound
    ended_at REAL,
    key_id TEXT NOT NULL
);

-- Who may call whom through X, one row per caller and direction: all that a call needs to know in one point
-- read. "At most one target per (X, caller)" is the primary key.
CREATE TABLE target (
    x TEXT NOT NULL,
    caller BLOB NOT NULL,
    callee BLOB NOT NULL,
    presented TEXT NOT NULL,
    subs_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    mode TEXT NOT NULL,
    tel_y TEXT NOT NULL,
    app_platform TEXT NOT NULL,
    business_user TEXT NOT NULL,
    order_id TEXT NOT NULL,
    scenario TEXT NOT NULL,
    expires_at REAL NOT NULL,
    key_id TEXT NOT NULL,
    PRIMARY KEY (x, caller)
) WITHOUT ROWID;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,          -- RFC 3339 UTC
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
);
