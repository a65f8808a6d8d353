-- What is recorded is announced: per platform one feed without gaps, written in the transaction of the record.
CREATE TABLE event (
    app_platform TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,        -- call.start | call.ring | call.answer | call.end | cdr | sms | binding.* | number.status | ...
    at TEXT NOT NULL,          -- RFC 3339 UTC
    subject TEXT NOT NULL,     -- record_id, subs_id, X or block
    payload TEXT NOT NULL,     -- JSON, numbers masked
    PRIMARY KEY (app_platform, seq)
) WITHOUT ROWID;

-- Whom B reaches in a group: who has called through its binding last. AD "cdr.caller".
CREATE TABLE last_caller (
    subs_id TEXT PRIMARY KEY,
    member BLOB NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;

-- Who has called X without being a party of it: X is not given to a pair with them for a while. AD "cdr.caller".
CREATE TABLE stranger (
    x TEXT NOT NULL,
    caller BLOB NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (x, caller)
) WITHOUT ROWID;
