-- What a business user may use numbers for: a JSON array of scenario codes; '' whatever is approved.
ALTER TABLE business_user ADD COLUMN scenarios TEXT NOT NULL DEFAULT '';

-- Of the document that was signed: its SHA-256 in hexadecimal digits, and what it says of the end of the service.
ALTER TABLE contract ADD COLUMN doc_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE contract ADD COLUMN exit_plan TEXT NOT NULL DEFAULT '';

-- From where a key may be used: networks such as 10.0.0.0/8, with a blank between them; '' from anywhere.
ALTER TABLE api_key ADD COLUMN ip_allow TEXT NOT NULL DEFAULT '';
