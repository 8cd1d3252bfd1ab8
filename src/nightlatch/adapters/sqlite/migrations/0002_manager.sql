-- Portfolios, members, mail, display names that wait, turn-off links, lists that stay fast.

ALTER TABLE portfolios ADD COLUMN audit_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE portfolios ADD COLUMN audit_head BLOB NOT NULL
    DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000';

ALTER TABLE portfolios ADD COLUMN place INTEGER NOT NULL DEFAULT 0;

CREATE INDEX wabas_by_portfolio ON wabas (portfolio, id);

ALTER TABLE audit ADD COLUMN place TEXT NOT NULL DEFAULT '';

ALTER TABLE numbers ADD COLUMN asked_name TEXT;
ALTER TABLE numbers ADD COLUMN name_declined INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN name_set_at INTEGER;
ALTER TABLE numbers ADD COLUMN guess_warned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN link_hash BLOB;
ALTER TABLE numbers ADD COLUMN link_pin_version INTEGER;
ALTER TABLE numbers ADD COLUMN link_by TEXT;
ALTER TABLE numbers ADD COLUMN link_by_version INTEGER;
ALTER TABLE numbers ADD COLUMN link_expires_at INTEGER;
ALTER TABLE numbers ADD COLUMN links_sent TEXT NOT NULL DEFAULT '';
ALTER TABLE numbers ADD COLUMN deregistrations TEXT NOT NULL DEFAULT '';
ALTER TABLE numbers ADD COLUMN attacked_at INTEGER;
ALTER TABLE numbers ADD COLUMN wait_ends_at INTEGER;

CREATE INDEX numbers_by_link ON numbers (link_hash) WHERE link_hash IS NOT NULL;
CREATE INDEX numbers_all ON numbers (waba, e164);
CREATE INDEX numbers_protected ON numbers (waba, e164) WHERE pin_verifier IS NOT NULL;
CREATE INDEX numbers_unprotected ON numbers (waba, e164) WHERE pin_verifier IS NULL;
CREATE INDEX numbers_locked ON numbers (waba, e164) WHERE guess_locked = 1;
CREATE INDEX numbers_connected ON numbers (waba, e164)
    WHERE registered_at IS NOT NULL AND holder IS NOT NULL;
CREATE INDEX numbers_pending ON numbers (waba, e164) WHERE registered_at IS NULL;
CREATE INDEX numbers_disconnected ON numbers (waba, e164)
    WHERE registered_at IS NOT NULL AND holder IS NULL;
CREATE INDEX numbers_attacked ON numbers (waba, attacked_at, id) WHERE attacked_at IS NOT NULL;
CREATE INDEX numbers_waiting ON numbers (waba, wait_ends_at, id) WHERE wait_ends_at IS NOT NULL;

-- What a number is found by: see domain/overview.py, terms().
CREATE TABLE number_terms (
    waba TEXT NOT NULL,
    term TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (waba, term, number)
) WITHOUT ROWID;

CREATE INDEX number_terms_by_number ON number_terms (number, term);

-- A slot is the last hexadecimal digit of the number's id: many writers, few rows to add up.
CREATE TABLE tallies (
    waba TEXT NOT NULL,
    slot INTEGER NOT NULL,
    numbers INTEGER NOT NULL,
    protected INTEGER NOT NULL,
    locked INTEGER NOT NULL,
    PRIMARY KEY (waba, slot)
) WITHOUT ROWID;

CREATE TABLE daily (
    waba TEXT NOT NULL,
    day INTEGER NOT NULL,
    kind TEXT NOT NULL,
    slot INTEGER NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (waba, day, kind, slot)
) WITHOUT ROWID;

CREATE TABLE members (
    id TEXT PRIMARY KEY,
    portfolio TEXT NOT NULL REFERENCES portfolios,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    verifier BLOB NOT NULL,
    joined_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    app_sealed BLOB,
    app_step INTEGER,
    app_recovery BLOB,
    reset_hash BLOB,
    reset_at INTEGER
) WITHOUT ROWID;

CREATE INDEX members_by_portfolio ON members (portfolio, joined_at);

CREATE TABLE member_sessions (
    hash BLOB PRIMARY KEY,
    member TEXT NOT NULL REFERENCES members ON DELETE CASCADE,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    agent TEXT NOT NULL,
    place TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX member_sessions_by_member ON member_sessions (member, started_at);

CREATE TABLE invitations (
    hash BLOB PRIMARY KEY,
    portfolio TEXT NOT NULL REFERENCES portfolios,
    role TEXT NOT NULL,
    email TEXT NOT NULL,
    by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (portfolio, email)
) WITHOUT ROWID;

CREATE TABLE sign_ins (
    key BLOB PRIMARY KEY,
    wrong INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX sign_ins_by_time ON sign_ins (last_at);

CREATE TABLE mail (
    key TEXT PRIMARY KEY,
    portfolio TEXT NOT NULL,
    address TEXT NOT NULL,
    letter TEXT NOT NULL,
    facts TEXT NOT NULL,
    posted_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    sealed BLOB,
    about TEXT NOT NULL,
    good_until INTEGER,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    ended_at INTEGER,
    fault TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX mail_by_due ON mail (due_at) WHERE state = 'waiting';
CREATE INDEX mail_by_time ON mail (posted_at, key);
CREATE INDEX mail_by_portfolio ON mail (portfolio, posted_at, key);
CREATE INDEX mail_failed ON mail (portfolio) WHERE state = 'failed';
CREATE INDEX mail_sealed ON mail (good_until) WHERE sealed IS NOT NULL;
CREATE INDEX mail_ended ON mail (ended_at) WHERE ended_at IS NOT NULL
