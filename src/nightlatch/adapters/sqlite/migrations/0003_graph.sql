-- Apps, system users, access tokens, webhooks and business profiles of the Graph face.

-- A number may be held by the Cloud API, which is no client: holder loses its foreign key.
DROP INDEX numbers_by_holder;
DROP INDEX numbers_connected;
DROP INDEX numbers_disconnected;
ALTER TABLE numbers ADD COLUMN held_by TEXT;
UPDATE numbers SET held_by = holder;
ALTER TABLE numbers DROP COLUMN holder;
ALTER TABLE numbers RENAME COLUMN held_by TO holder;
CREATE INDEX numbers_by_holder ON numbers (holder) WHERE holder IS NOT NULL;
CREATE INDEX numbers_connected ON numbers (waba, e164)
    WHERE registered_at IS NOT NULL AND holder IS NOT NULL;
CREATE INDEX numbers_disconnected ON numbers (waba, e164)
    WHERE registered_at IS NOT NULL AND holder IS NULL;

CREATE INDEX numbers_onboarded ON numbers (waba, coalesce(registered_at, 0), id);

CREATE TABLE profiles (
    number INTEGER PRIMARY KEY REFERENCES numbers,
    about TEXT NOT NULL,
    address TEXT NOT NULL,
    description TEXT NOT NULL,
    email TEXT NOT NULL,
    websites TEXT NOT NULL,
    vertical TEXT NOT NULL
);

CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    portfolio TEXT NOT NULL REFERENCES portfolios,
    name TEXT NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    needs_proof INTEGER NOT NULL,
    callback_url TEXT,
    callback_fields TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX apps_by_portfolio ON apps (portfolio, created_at, id);

CREATE TABLE system_users (
    id TEXT PRIMARY KEY,
    portfolio TEXT NOT NULL REFERENCES portfolios,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    wabas TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX system_users_by_portfolio ON system_users (portfolio, created_at, id);

CREATE TABLE access_tokens (
    hash BLOB PRIMARY KEY,
    system_user TEXT NOT NULL REFERENCES system_users ON DELETE CASCADE,
    app TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER
) WITHOUT ROWID;

CREATE INDEX access_tokens_by_user ON access_tokens (system_user, issued_at);
CREATE INDEX access_tokens_by_app ON access_tokens (app);
CREATE INDEX access_tokens_by_end ON access_tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE subscriptions (
    waba TEXT NOT NULL REFERENCES wabas,
    app TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    url TEXT,
    PRIMARY KEY (waba, app)
) WITHOUT ROWID;

CREATE INDEX subscriptions_by_app ON subscriptions (app);
CREATE INDEX subscriptions_elsewhere ON subscriptions (app, url) WHERE url IS NOT NULL;

-- All that waits on one line, that is for one app about one thing, is due at the same time.
CREATE TABLE deliveries (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    waba TEXT NOT NULL,
    line TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    at INTEGER NOT NULL,
    posted_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    alone INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended_at INTEGER,
    status INTEGER,
    answer TEXT NOT NULL,
    fault TEXT NOT NULL,
    portfolio TEXT NOT NULL,
    receiver TEXT NOT NULL -- the address that the account was subscribed with; empty for the app's
);

CREATE INDEX deliveries_due ON deliveries (app, receiver, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_of_line ON deliveries (app, line, key) WHERE state = 'waiting';
CREATE INDEX deliveries_by_app ON deliveries (app, key);
CREATE INDEX deliveries_by_portfolio ON deliveries (portfolio, key);
CREATE INDEX deliveries_failed ON deliveries (portfolio) WHERE state = 'failed';
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL
