-- What ends next, with the parties beside it: whose bindings are in force is found in this index alone, which a bind
-- writes anyway.
DROP INDEX binding_ends;

CREATE INDEX binding_ends ON binding (expires_at, tel_a, tel_b) WHERE valid_to IS NULL;

-- Answers are removed when they are old.
CREATE INDEX api_request_at ON api_request (at);
