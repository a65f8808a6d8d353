-- An offence is a company's, whatever its business users are called here: it is told by its credit code, so that it can
-- be shared with those who know the company under another name, or not at all yet.
ALTER TABLE credit_event RENAME COLUMN business_user TO uscc;

CREATE INDEX complaint_of_x ON complaint (tel_x);
