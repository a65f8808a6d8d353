-- How far the events of each platform have come: the rows themselves are removed after a while.
CREATE TABLE feed (
    app_platform TEXT PRIMARY KEY,
    last_seq INTEGER NOT NULL
) WITHOUT ROWID;
