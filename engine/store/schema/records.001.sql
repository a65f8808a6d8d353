-- records.db: calls in progress and the records of ended attempts. Column names and their order: contract, section 6.
-- Blobs are AES-256-SIV cipher text under the key named in key_id, associated data "table.column".

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row per attempt from before anything of it leaves until its end. What only the end tells is not here. Slots
-- are given by the writer: a row takes the place of one that went in the same transaction, so that few pages change.
CREATE TABLE call_open (
    slot INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    mode TEXT NOT NULL,
    subs_id TEXT NOT NULL,
    binding_version INTEGER NOT NULL,
    app_platform TEXT NOT NULL,
    business_user TEXT NOT NULL,
    order_id TEXT NOT NULL,
    scenario TEXT NOT NULL,
    tel_x TEXT NOT NULL,
    tel_y TEXT NOT NULL,
    caller BLOB,
    callee BLOB,
    group_member BLOB,
    presented_number TEXT NOT NULL,
    ingress_peer TEXT NOT NULL,
    egress_peer TEXT NOT NULL,
    attempts TEXT NOT NULL,
    caller_call_id TEXT NOT NULL,
    callee_call_id TEXT NOT NULL,
    call_time TEXT NOT NULL,
    call_out_time TEXT,
    ring_time TEXT,
    answer_time TEXT,
    decided_by TEXT NOT NULL,
    parts INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    icid_in TEXT NOT NULL,
    icid_out TEXT NOT NULL,
    caller_cseq INTEGER NOT NULL,
    caller_branch TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    key_id TEXT NOT NULL
);

-- Beside it for an answered call: what the answer changed.
CREATE TABLE call_answer (
    slot INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL,
    egress_peer TEXT NOT NULL,
    attempts TEXT NOT NULL,
    callee_call_id TEXT NOT NULL,
    call_out_time TEXT,
    ring_time TEXT,
    answer_time TEXT,
    decided_by TEXT NOT NULL,
    icid_out TEXT NOT NULL,
    dialogs BLOB,              -- both dialogs and the 2xx: JSON, encrypted
    key_id TEXT NOT NULL
);

CREATE TABLE cdr (
    record_id TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    mode TEXT NOT NULL,
    subs_id TEXT NOT NULL,
    binding_version INTEGER NOT NULL,
    app_platform TEXT NOT NULL,
    business_user TEXT NOT NULL,
    order_id TEXT NOT NULL,
    scenario TEXT NOT NULL,
    tel_x TEXT NOT NULL,
    tel_y TEXT NOT NULL,
    caller BLOB,
    callee BLOB,
    group_member BLOB,
    presented_number TEXT NOT NULL,
    ingress_peer TEXT NOT NULL,
    egress_peer TEXT NOT NULL,
    attempts TEXT NOT NULL,
    caller_call_id TEXT NOT NULL,
    callee_call_id TEXT NOT NULL,
    call_time TEXT NOT NULL,
    call_out_time TEXT,
    ring_time TEXT,
    answer_time TEXT,
    release_time TEXT,
    ring_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    duration_source TEXT NOT NULL,
    bill_seconds INTEGER NOT NULL,
    release_direction TEXT NOT NULL,
    release_cause TEXT NOT NULL,
    sip_status INTEGER NOT NULL,
    q850 INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    parts INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    icid_in TEXT NOT NULL,
    icid_out TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    caller_cseq INTEGER NOT NULL,
    caller_branch TEXT NOT NULL,
    key_id TEXT NOT NULL,
    UNIQUE (node, seq)
);

CREATE TRIGGER cdr_is_never_changed BEFORE UPDATE ON cdr
BEGIN
    SELECT RAISE(ABORT, 'cdr is append-only');
END;

CREATE TRIGGER cdr_is_never_deleted BEFORE DELETE ON cdr
BEGIN
    SELECT RAISE(ABORT, 'cdr is append-only');
END;

-- How many attempts of a day were begun and how many have their record: a chain whose end was cut off shows here.
CREATE TABLE counter (
    node TEXT NOT NULL,
    day TEXT NOT NULL,         -- UTC day of call_time: 2026-11-24
    attempts INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (node, day)
) WITHOUT ROWID;
