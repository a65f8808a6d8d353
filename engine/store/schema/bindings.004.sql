-- The 700 domain: who may bind what, for how long, and who may use it. Blobs as before: AES-256-SIV, associated data
-- "table.column", unless a comment says otherwise. Times ending in _at, _until and _from are seconds since the epoch (UTC).

-- What the tenants, their contracts and scenarios say beyond their names. A row of before is as it was used: in force.
ALTER TABLE app_platform ADD COLUMN exit_day TEXT NOT NULL DEFAULT '';      -- the day of its exit plan; '' without one
ALTER TABLE app_platform ADD COLUMN reviewed TEXT NOT NULL DEFAULT '';      -- JSON: document -> day and reviewer
ALTER TABLE business_user ADD COLUMN credit_score INTEGER NOT NULL DEFAULT 100;
ALTER TABLE business_user ADD COLUMN consent TEXT NOT NULL DEFAULT 'off';   -- off | required: of the persons behind A and B
ALTER TABLE contract ADD COLUMN state TEXT NOT NULL DEFAULT 'effective';
ALTER TABLE scenario ADD COLUMN state TEXT NOT NULL DEFAULT 'approved';
ALTER TABLE scenario ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE scenario ADD COLUMN hours TEXT NOT NULL DEFAULT '';             -- "08:00-22:00", China time; '' always
ALTER TABLE scenario ADD COLUMN sms INTEGER NOT NULL DEFAULT 1;
ALTER TABLE scenario ADD COLUMN real_name TEXT NOT NULL DEFAULT 'off';      -- off | a | both: who must be verified
ALTER TABLE scenario ADD COLUMN order_check TEXT NOT NULL DEFAULT 'off';    -- off | bind | call: when the platform is asked
ALTER TABLE scenario ADD COLUMN max_call_s INTEGER NOT NULL DEFAULT 0;      -- 0: the node's own limit
ALTER TABLE scenario ADD COLUMN calls_per_day INTEGER NOT NULL DEFAULT 0;   -- of one caller through one X; 0: no limit
ALTER TABLE number_block ADD COLUMN opened_day TEXT NOT NULL DEFAULT '';    -- since when calls reach it: the report is due from here
ALTER TABLE number_block ADD COLUMN reported_day TEXT NOT NULL DEFAULT '';

-- Since when bindings pass all gates: what is older was made under fewer.
INSERT INTO meta VALUES ('gates_since', strftime('%s', 'now'));

-- Each move of a state machine, for ever: when, by whom, why.
CREATE TABLE transition (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,        -- app_platform, business_user, contract, scenario, number_block, number, number_pool, ...
    entity TEXT NOT NULL,
    from_state TEXT NOT NULL,  -- '' when it was made
    to_state TEXT NOT NULL,
    at TEXT NOT NULL,          -- RFC 3339 UTC
    actor TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX transition_of ON transition (kind, entity);

CREATE TRIGGER transition_is_never_changed BEFORE UPDATE ON transition
BEGIN
    SELECT RAISE(ABORT, 'transition is append-only');
END;

CREATE TRIGGER transition_is_never_deleted BEFORE DELETE ON transition
BEGIN
    SELECT RAISE(ABORT, 'transition is append-only');
END;

-- Which business user had a block from when to when: the register of use. until_at is written once.
CREATE TABLE assignment (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL,
    app_platform TEXT NOT NULL,
    business_user TEXT NOT NULL,
    from_at REAL NOT NULL,
    until_at REAL
);

CREATE UNIQUE INDEX assignment_now ON assignment (prefix) WHERE until_at IS NULL;

INSERT INTO assignment (prefix, app_platform, business_user, from_at)
    SELECT prefix, app_platform, business_user, 0 FROM number_block WHERE state = 'assigned';

-- What must not be used now, by whatever binding: read for each call, so it is small. A number that is not here is in
-- the state that its bindings and its memory tell.
CREATE TABLE restriction (
    kind TEXT NOT NULL,        -- everything | app_platform | business_user | number_block | number
    id TEXT NOT NULL,          -- '' for everything
    state TEXT NOT NULL,       -- killed; of a number: locked | frozen | returned
    since_at REAL NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Numbers that a business user's bindings are taken from when they name no X.
CREATE TABLE number_pool (
    key TEXT PRIMARY KEY,
    app_platform TEXT NOT NULL REFERENCES app_platform (id),
    business_user TEXT NOT NULL REFERENCES business_user (id),
    state TEXT NOT NULL,       -- active | paused
    choice TEXT NOT NULL,      -- random | sticky | least_recently_used
    callback TEXT NOT NULL,    -- last_caller | default_a | sequential: whom B reaches in GXB and GXYB
    cool_s INTEGER NOT NULL    -- so long X is not given to one of its old parties
) WITHOUT ROWID;

CREATE TABLE pool_block (
    pool TEXT NOT NULL REFERENCES number_pool (key),
    prefix TEXT NOT NULL REFERENCES number_block (prefix),
    PRIMARY KEY (pool, prefix)
) WITHOUT ROWID;

-- The numbers of a pool that gives out the one that it gave out longest ago; 0 for never. Filled when it first chooses.
CREATE TABLE x_use (
    x TEXT PRIMARY KEY,
    prefix TEXT NOT NULL,
    used_at REAL NOT NULL
) WITHOUT ROWID;

CREATE INDEX x_use_oldest ON x_use (prefix, used_at, x);

-- The persons behind numbers, as a platform reports them.
CREATE TABLE subscriber (
    app_platform TEXT NOT NULL,
    number BLOB NOT NULL,
    state TEXT NOT NULL,       -- unknown | verified | revoked: the real name
    source TEXT NOT NULL,      -- who has verified it
    verified_at REAL,
    consent_ref TEXT NOT NULL,
    consent_at REAL,
    key_id TEXT NOT NULL,
    PRIMARY KEY (app_platform, number)
) WITHOUT ROWID;

CREATE TABLE number_group (
    group_id TEXT PRIMARY KEY,
    app_platform TEXT NOT NULL,
    business_user TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,       -- active | deleted
    version INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE group_member (
    group_id TEXT NOT NULL REFERENCES number_group (group_id),
    position INTEGER NOT NULL, -- in which members are tried
    member BLOB NOT NULL,
    since_at REAL NOT NULL DEFAULT 0,
    key_id TEXT NOT NULL,
    PRIMARY KEY (group_id, member)
) WITHOUT ROWID;

-- Who was in a group from when to when and is no more, AD "group_member.member": X has known them.
CREATE TABLE group_past (
    group_id TEXT NOT NULL,
    member BLOB NOT NULL,
    since_at REAL NOT NULL,
    until_at REAL NOT NULL,
    key_id TEXT NOT NULL
);

CREATE INDEX group_past_of ON group_past (group_id, until_at);

-- Orders as they were verified. A binding names one by business user and order id.
CREATE TABLE service_order (
    business_user TEXT NOT NULL,
    order_id TEXT NOT NULL,
    industrial_id TEXT NOT NULL,
    state TEXT NOT NULL,       -- unverified | verified | closed | forged
    verified_at REAL,
    until_at REAL,             -- so long the proof holds
    proof TEXT NOT NULL,
    PRIMARY KEY (business_user, order_id)
) WITHOUT ROWID;

CREATE INDEX service_order_forged ON service_order (business_user, order_id) WHERE state = 'forged';

CREATE TABLE blacklist (
    app_platform TEXT NOT NULL,
    first BLOB NOT NULL,       -- AD "blacklist.number"
    second BLOB NOT NULL,      -- AD "blacklist.number"; x'' : whomever `first` calls or is called by
    way TEXT NOT NULL,         -- both | first_may_call: what still goes through
    at REAL NOT NULL,
    key_id TEXT NOT NULL,
    PRIMARY KEY (app_platform, first, second)
) WITHOUT ROWID;

-- What a binding says beyond its numbers. Each version has its own.
ALTER TABLE binding ADD COLUMN pool_key TEXT NOT NULL DEFAULT '';
ALTER TABLE binding ADD COLUMN out_order_id TEXT NOT NULL DEFAULT '';
ALTER TABLE binding ADD COLUMN out_id TEXT NOT NULL DEFAULT '';
ALTER TABLE binding ADD COLUMN industrial_id TEXT NOT NULL DEFAULT '';
ALTER TABLE binding ADD COLUMN consent_ref TEXT NOT NULL DEFAULT '';
ALTER TABLE binding ADD COLUMN call_restrict TEXT NOT NULL DEFAULT ''; -- CONTROL_AX_DISABLE | CONTROL_BX_DISABLE | CONTROL_GX_DISABLE
ALTER TABLE binding ADD COLUMN max_call_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE binding ADD COLUMN ring_timeout_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE binding ADD COLUMN sms INTEGER NOT NULL DEFAULT 1;
ALTER TABLE binding ADD COLUMN default_a BLOB;                          -- whom B reaches in a group before anybody has called
ALTER TABLE binding ADD COLUMN callback TEXT NOT NULL DEFAULT '';
ALTER TABLE binding ADD COLUMN decision TEXT NOT NULL DEFAULT '';       -- closed | open: asked for each call, and what silence means
ALTER TABLE binding ADD COLUMN legacy_x TEXT NOT NULL DEFAULT '';       -- the number of before 700, beside X
ALTER TABLE binding ADD COLUMN legacy_until REAL;
ALTER TABLE binding ADD COLUMN ended_because TEXT NOT NULL DEFAULT '';  -- unbound | replaced | revoked

DROP TRIGGER binding_ends_once;

CREATE TRIGGER binding_ends_once BEFORE UPDATE ON binding
WHEN OLD.valid_to IS NOT NULL OR NEW.valid_to IS NULL OR NEW.valid_to < OLD.valid_from
    OR (OLD.id, OLD.subs_id, OLD.version, OLD.mode, OLD.tel_x, OLD.tel_y, OLD.tel_a, OLD.tel_b, OLD.group_id,
        OLD.business_user, OLD.app_platform, OLD.order_id, OLD.scenario, OLD.expires_at, OLD.valid_from, OLD.key_id,
        OLD.pool_key, OLD.out_order_id, OLD.out_id, OLD.industrial_id, OLD.consent_ref, OLD.call_restrict,
        OLD.max_call_s, OLD.ring_timeout_s, OLD.sms, OLD.default_a, OLD.callback, OLD.decision, OLD.legacy_x,
        OLD.legacy_until)
    IS NOT (NEW.id, NEW.subs_id, NEW.version, NEW.mode, NEW.tel_x, NEW.tel_y, NEW.tel_a, NEW.tel_b, NEW.group_id,
        NEW.business_user, NEW.app_platform, NEW.order_id, NEW.scenario, NEW.expires_at, NEW.valid_from, NEW.key_id,
        NEW.pool_key, NEW.out_order_id, NEW.out_id, NEW.industrial_id, NEW.consent_ref, NEW.call_restrict,
        NEW.max_call_s, NEW.ring_timeout_s, NEW.sms, NEW.default_a, NEW.callback, NEW.decision, NEW.legacy_x,
        NEW.legacy_until)
BEGIN
    SELECT RAISE(ABORT, 'a binding is never changed, only ended, and once');
END;

CREATE INDEX binding_of_group ON binding (group_id) WHERE group_id != '';

-- Whom a number has known is read from here: all bindings of it that had not expired at some moment.
DROP INDEX binding_of_x;

CREATE INDEX binding_of_x ON binding (tel_x, expires_at);

CREATE INDEX binding_of_y ON binding (tel_y, expires_at) WHERE tel_y != '';

-- What a pool has given a party before.
CREATE INDEX binding_of_pool ON binding (pool_key, tel_a, id) WHERE pool_key != '';

CREATE INDEX contract_of_user ON contract (business_user);

-- What a call must know of it, beside the numbers. Bits of flags: engine.core.binding.
ALTER TABLE target ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN max_call_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN ring_timeout_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN group_id TEXT NOT NULL DEFAULT '';

-- Who may use the API. A secret is sealed (AD "api_key.secret"), since signatures need it; of a token only a hash is kept.
CREATE TABLE api_key (
    key_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,        -- hmac | token
    role TEXT NOT NULL,        -- platform | operator | auditor
    app_platform TEXT NOT NULL, -- of a platform's key
    secret BLOB NOT NULL,
    state TEXT NOT NULL,       -- active | revoked
    created_at REAL NOT NULL,
    rate_per_s INTEGER NOT NULL, -- 0: no limit
    cipher_key_id TEXT NOT NULL
) WITHOUT ROWID;

-- By key the time of its newest signed request that was taken: after a start of the API nothing older is taken, since the
-- nonces of before are not known any more.
CREATE TABLE api_clock (
    key_id TEXT PRIMARY KEY,
    signed_at REAL NOT NULL
) WITHOUT ROWID;

-- Answers that were given: the same req_id with the same body gets the same one.
CREATE TABLE api_request (
    app_platform TEXT NOT NULL,
    req_id TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (app_platform, req_id)
) WITHOUT ROWID;

-- What happened to bindings, numbers and blocks, written with it: the node takes it into the feed of records.db.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_platform TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,          -- RFC 3339 UTC
    subject TEXT NOT NULL,     -- subs_id, X or block
    payload TEXT NOT NULL      -- JSON, numbers masked
);

-- Where a platform wants its events, and how far they have come.
CREATE TABLE webhook (
    app_platform TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    state TEXT NOT NULL,       -- active | paused | dead: nothing was taken for 72 h
    acked_seq INTEGER NOT NULL,
    failing_since_at REAL,
    retry_at REAL,
    last_error TEXT NOT NULL,
    cipher_key_id TEXT NOT NULL
) WITHOUT ROWID;

-- Where a platform is asked before a binding or a call.
CREATE TABLE hook (
    app_platform TEXT NOT NULL,
    kind TEXT NOT NULL,        -- order | decision
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    timeout_ms INTEGER NOT NULL,
    cipher_key_id TEXT NOT NULL,
    PRIMARY KEY (app_platform, kind)
) WITHOUT ROWID;

CREATE TABLE credit_event (
    id INTEGER PRIMARY KEY,
    business_user TEXT NOT NULL,
    offence TEXT NOT NULL,     -- resale | forged_orders | fraud | marketing: the four of the notice
    at TEXT NOT NULL,
    source TEXT NOT NULL,      -- who tells: ourselves, or another platform
    detail TEXT NOT NULL,
    UNIQUE (business_user, offence, at, source)
);

CREATE TABLE complaint (
    id INTEGER PRIMARY KEY,
    tel_x TEXT NOT NULL,
    complainant BLOB,
    app_platform TEXT NOT NULL,
    business_user TEXT NOT NULL,
    detail TEXT NOT NULL,
    received_at REAL NOT NULL,
    blocked_at REAL,
    closed_at REAL,
    key_id TEXT NOT NULL
);
