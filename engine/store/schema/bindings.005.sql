-- What ends next: who is told that a binding has expired is told soon.
CREATE INDEX binding_ends ON binding (expires_at) WHERE valid_to IS NULL;
