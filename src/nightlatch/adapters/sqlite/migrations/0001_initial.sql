-- Times are whole microseconds since 1970-01-01 UTC. Sealed values open only with the key ring.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE portfolios (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE wabas (
    id TEXT PRIMARY KEY,
    portfolio TEXT NOT NULL REFERENCES portfolios,
    name TEXT NOT NULL,
    network TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE clients (
    name TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    number INTEGER,
    shards INTEGER NOT NULL,
    audit_seq INTEGER NOT NULL,
    audit_head BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE numbers (
    id INTEGER PRIMARY KEY,
    e164 TEXT NOT NULL UNIQUE,
    cc TEXT NOT NULL,
    waba TEXT NOT NULL REFERENCES wabas,
    name TEXT NOT NULL,
    serial TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    holder TEXT REFERENCES clients,
    registered_at INTEGER,
    code_verified_at INTEGER,
    pin_version INTEGER NOT NULL,
    pin_verifier BLOB,
    guess_ticket INTEGER NOT NULL,
    guess_run INTEGER NOT NULL,
    guess_forgiven INTEGER NOT NULL,
    guess_paid TEXT NOT NULL,
    guess_since INTEGER,
    guess_locked INTEGER NOT NULL,
    registrations TEXT NOT NULL,
    codes TEXT NOT NULL,
    pending_session TEXT,
    pending_client TEXT,
    pending_method TEXT,
    pending_hash BLOB,
    pending_pin_version INTEGER,
    pending_sent_at INTEGER,
    pending_checks INTEGER,
    pending_checked_at INTEGER,
    audit_seq INTEGER NOT NULL,
    audit_head BLOB NOT NULL
);

CREATE INDEX numbers_by_holder ON numbers (holder) WHERE holder IS NOT NULL;
CREATE INDEX numbers_by_pending ON numbers (pending_client, pending_sent_at)
    WHERE pending_client IS NOT NULL;

CREATE TABLE users (
    client TEXT NOT NULL REFERENCES clients,
    username TEXT NOT NULL,
    role TEXT NOT NULL,
    verifier BLOB NOT NULL,
    must_change INTEGER NOT NULL,
    wrong_logins INTEGER NOT NULL,
    last_wrong_at INTEGER,
    PRIMARY KEY (client, username)
) WITHOUT ROWID;

CREATE TABLE tokens (
    hash BLOB PRIMARY KEY,
    client TEXT NOT NULL,
    username TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    FOREIGN KEY (client, username) REFERENCES users ON DELETE CASCADE
) WITHOUT ROWID;

CREATE INDEX tokens_by_user ON tokens (client, username, expires_at);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

CREATE TABLE audit (
    subject TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    by TEXT NOT NULL,
    details TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (subject, seq)
) WITHOUT ROWID;

CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    e164 TEXT NOT NULL,
    method TEXT NOT NULL,
    sealed BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX outbox_by_due ON outbox (due_at);

CREATE TABLE handset (
    key TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    e164 TEXT NOT NULL,
    method TEXT NOT NULL,
    sealed BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX handset_by_number ON handset (e164, received_at);
