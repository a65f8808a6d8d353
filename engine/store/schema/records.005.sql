-- Calls and messages of a day in China by caller and X, of scenarios that limit them: a node that starts goes on counting.
CREATE TABLE day_call (
    day INTEGER NOT NULL,      -- of call_time in China, since the epoch
    x TEXT NOT NULL,
    caller BLOB NOT NULL,      -- AD "cdr.caller"
    record_id TEXT NOT NULL,
    PRIMARY KEY (day, x, caller, record_id)
) WITHOUT ROWID;
