-- Everything that the file of SQLite holds, in the same words.

CREATE TABLE meta (
    key TEXT COLLATE "C" PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE portfolios (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    audit_seq BIGINT NOT NULL DEFAULT 0,
    audit_head BYTEA NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    place INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE wabas (
    id TEXT COLLATE "C" PRIMARY KEY,
    portfolio TEXT COLLATE "C" NOT NULL REFERENCES portfolios,
    name TEXT COLLATE "C" NOT NULL,
    network TEXT COLLATE "C" NOT NULL
);

CREATE INDEX wabas_by_portfolio ON wabas (portfolio, id);

CREATE TABLE clients (
    name TEXT COLLATE "C" PRIMARY KEY,
    created_at BIGINT NOT NULL,
    number BIGINT,
    shards INTEGER NOT NULL,
    audit_seq BIGINT NOT NULL,
    audit_head BYTEA NOT NULL
);

CREATE TABLE numbers (
    id BIGINT PRIMARY KEY,
    e164 TEXT COLLATE "C" NOT NULL UNIQUE,
    cc TEXT COLLATE "C" NOT NULL,
    waba TEXT COLLATE "C" NOT NULL REFERENCES wabas,
    name TEXT COLLATE "C" NOT NULL,
    serial TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    registered_at BIGINT,
    code_verified_at BIGINT,
    pin_version BIGINT NOT NULL,
    pin_verifier BYTEA,
    guess_ticket BIGINT NOT NULL,
    guess_run BIGINT NOT NULL,
    guess_forgiven BIGINT NOT NULL,
    guess_paid TEXT COLLATE "C" NOT NULL,
    guess_since BIGINT,
    guess_locked SMALLINT NOT NULL,
    registrations TEXT COLLATE "C" NOT NULL,
    codes TEXT COLLATE "C" NOT NULL,
    pending_session TEXT COLLATE "C",
    pending_client TEXT COLLATE "C",
    pending_method TEXT COLLATE "C",
    pending_hash BYTEA,
    pending_pin_version BIGINT,
    pending_sent_at BIGINT,
    pending_checks INTEGER,
    pending_checked_at BIGINT,
    audit_seq BIGINT NOT NULL,
    audit_head BYTEA NOT NULL,
    asked_name TEXT COLLATE "C",
    name_declined SMALLINT NOT NULL DEFAULT 0,
    name_set_at BIGINT,
    guess_warned SMALLINT NOT NULL DEFAULT 0,
    link_hash BYTEA,
    link_pin_version BIGINT,
    link_by TEXT COLLATE "C",
    link_by_version BIGINT,
    link_expires_at BIGINT,
    links_sent TEXT COLLATE "C" NOT NULL DEFAULT '',
    deregistrations TEXT COLLATE "C" NOT NULL DEFAULT '',
    attacked_at BIGINT,
    wait_ends_at BIGINT,
    holder TEXT COLLATE "C"
) WITH (fillfactor = 80);

CREATE INDEX numbers_by_pending ON numbers (pending_client, pending_sent_at) WHERE pending_client IS NOT NULL;
CREATE INDEX numbers_by_link ON numbers (link_hash) WHERE link_hash IS NOT NULL;
CREATE INDEX numbers_all ON numbers (waba, e164);
CREATE INDEX numbers_protected ON numbers (waba, e164) WHERE pin_verifier IS NOT NULL;
CREATE INDEX numbers_unprotected ON numbers (waba, e164) WHERE pin_verifier IS NULL;
CREATE INDEX numbers_locked ON numbers (waba, e164) WHERE guess_locked = 1;
CREATE INDEX numbers_pending ON numbers (waba, e164) WHERE registered_at IS NULL;
CREATE INDEX numbers_attacked ON numbers (waba, attacked_at, id) WHERE attacked_at IS NOT NULL;
CREATE INDEX numbers_waiting ON numbers (waba, wait_ends_at, id) WHERE wait_ends_at IS NOT NULL;
CREATE INDEX numbers_by_holder ON numbers (holder) WHERE holder IS NOT NULL;
CREATE INDEX numbers_connected ON numbers (waba, e164) WHERE registered_at IS NOT NULL AND holder IS NOT NULL;
CREATE INDEX numbers_disconnected ON numbers (waba, e164) WHERE registered_at IS NOT NULL AND holder IS NULL;
CREATE INDEX numbers_onboarded ON numbers (waba, coalesce(registered_at, 0), id);

CREATE TABLE users (
    client TEXT COLLATE "C" NOT NULL REFERENCES clients,
    username TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    verifier BYTEA NOT NULL,
    must_change SMALLINT NOT NULL,
    wrong_logins INTEGER NOT NULL,
    last_wrong_at BIGINT,
    PRIMARY KEY (client, username)
);

CREATE TABLE tokens (
    hash BYTEA PRIMARY KEY,
    client TEXT COLLATE "C" NOT NULL,
    username TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (client, username) REFERENCES users ON DELETE CASCADE
);

CREATE INDEX tokens_by_user ON tokens (client, username, expires_at);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

CREATE TABLE audit (
    subject TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    by TEXT COLLATE "C" NOT NULL,
    details TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    place TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (subject, seq)
);

CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE outbox (
    key TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT NOT NULL,
    e164 TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL
);

CREATE INDEX outbox_by_due ON outbox (due_at);

CREATE TABLE handset (
    key TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT NOT NULL,
    e164 TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    received_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX handset_by_number ON handset (e164, received_at);

CREATE TABLE number_terms (
    waba TEXT COLLATE "C" NOT NULL,
    term TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (waba, term, number)
);

CREATE INDEX number_terms_by_number ON number_terms (number, term);

CREATE TABLE tallies (
    waba TEXT COLLATE "C" NOT NULL,
    slot INTEGER NOT NULL,
    numbers BIGINT NOT NULL,
    protected BIGINT NOT NULL,
    locked BIGINT NOT NULL,
    PRIMARY KEY (waba, slot)
);

CREATE TABLE daily (
    waba TEXT COLLATE "C" NOT NULL,
    day BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    slot INTEGER NOT NULL,
    times BIGINT NOT NULL,
    PRIMARY KEY (waba, day, kind, slot)
);

CREATE TABLE members (
    id TEXT COLLATE "C" PRIMARY KEY,
    portfolio TEXT COLLATE "C" NOT NULL REFERENCES portfolios,
    email TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    verifier BYTEA NOT NULL,
    joined_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    app_sealed BYTEA,
    app_step BIGINT,
    app_recovery BYTEA,
    reset_hash BYTEA,
    reset_at BIGINT
);

CREATE INDEX members_by_portfolio ON members (portfolio, joined_at);

CREATE TABLE member_sessions (
    hash BYTEA PRIMARY KEY,
    member TEXT COLLATE "C" NOT NULL REFERENCES members ON DELETE CASCADE,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    whole SMALLINT NOT NULL,
    agent TEXT COLLATE "C" NOT NULL,
    place TEXT COLLATE "C" NOT NULL
);

CREATE INDEX member_sessions_by_member ON member_sessions (member, started_at);

CREATE TABLE invitations (
    hash BYTEA PRIMARY KEY,
    portfolio TEXT COLLATE "C" NOT NULL REFERENCES portfolios,
    role TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    by TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (portfolio, email)
);

CREATE TABLE sign_ins (
    key BYTEA PRIMARY KEY,
    wrong INTEGER NOT NULL,
    last_at BIGINT NOT NULL
);

CREATE INDEX sign_ins_by_time ON sign_ins (last_at);

CREATE TABLE mail (
    key TEXT COLLATE "C" PRIMARY KEY,
    portfolio TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    letter TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    posted_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    sealed BYTEA,
    about TEXT COLLATE "C" NOT NULL,
    good_until BIGINT,
    state TEXT COLLATE "C" NOT NULL,
    attempts INTEGER NOT NULL,
    ended_at BIGINT,
    fault TEXT COLLATE "C" NOT NULL
);

CREATE INDEX mail_by_due ON mail (due_at) WHERE state = 'waiting';
CREATE INDEX mail_by_time ON mail (posted_at, key);
CREATE INDEX mail_by_portfolio ON mail (portfolio, posted_at, key);
CREATE INDEX mail_failed ON mail (portfolio) WHERE state = 'failed';
CREATE INDEX mail_sealed ON mail (good_until) WHERE sealed IS NOT NULL;
CREATE INDEX mail_ended ON mail (ended_at) WHERE ended_at IS NOT NULL ;

CREATE TABLE profiles (
    number BIGINT PRIMARY KEY REFERENCES numbers,
    about TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    websites TEXT COLLATE "C" NOT NULL,
    vertical TEXT COLLATE "C" NOT NULL
);

CREATE TABLE apps (
    id TEXT COLLATE "C" PRIMARY KEY,
    portfolio TEXT COLLATE "C" NOT NULL REFERENCES portfolios,
    name TEXT COLLATE "C" NOT NULL,
    secret BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    needs_proof SMALLINT NOT NULL,
    callback_url TEXT COLLATE "C",
    callback_fields TEXT COLLATE "C" NOT NULL
);

CREATE INDEX apps_by_portfolio ON apps (portfolio, created_at, id);

CREATE TABLE system_users (
    id TEXT COLLATE "C" PRIMARY KEY,
    portfolio TEXT COLLATE "C" NOT NULL REFERENCES portfolios,
    name TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    wabas TEXT COLLATE "C" NOT NULL
);

CREATE INDEX system_users_by_portfolio ON system_users (portfolio, created_at, id);

CREATE TABLE access_tokens (
    hash BYTEA PRIMARY KEY,
    "system_user" TEXT COLLATE "C" NOT NULL REFERENCES system_users ON DELETE CASCADE,
    app TEXT COLLATE "C" NOT NULL REFERENCES apps ON DELETE CASCADE,
    scopes TEXT COLLATE "C" NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE INDEX access_tokens_by_user ON access_tokens ("system_user", issued_at);
CREATE INDEX access_tokens_by_app ON access_tokens (app);
CREATE INDEX access_tokens_by_end ON access_tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE subscriptions (
    waba TEXT COLLATE "C" NOT NULL REFERENCES wabas,
    app TEXT COLLATE "C" NOT NULL REFERENCES apps ON DELETE CASCADE,
    url TEXT COLLATE "C",
    PRIMARY KEY (waba, app)
);

CREATE INDEX subscriptions_by_app ON subscriptions (app);
CREATE INDEX subscriptions_elsewhere ON subscriptions (app, url) WHERE url IS NOT NULL;

CREATE TABLE deliveries (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app TEXT COLLATE "C" NOT NULL REFERENCES apps ON DELETE CASCADE,
    waba TEXT COLLATE "C" NOT NULL,
    line TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    posted_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    alone SMALLINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    ended_at BIGINT,
    status INTEGER,
    answer TEXT COLLATE "C" NOT NULL,
    fault TEXT COLLATE "C" NOT NULL,
    portfolio TEXT COLLATE "C" NOT NULL,
    receiver TEXT COLLATE "C" NOT NULL
);

CREATE INDEX deliveries_due ON deliveries (app, receiver, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_of_line ON deliveries (app, line, key) WHERE state = 'waiting';
CREATE INDEX deliveries_by_app ON deliveries (app, key);
CREATE INDEX deliveries_by_portfolio ON deliveries (portfolio, key);
CREATE INDEX deliveries_failed ON deliveries (portfolio) WHERE state = 'failed';
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL ;

CREATE TABLE links (
    waba TEXT COLLATE "C" PRIMARY KEY,
    portfolio TEXT COLLATE "C" NOT NULL REFERENCES portfolios,
    name TEXT COLLATE "C" NOT NULL,
    token BYTEA NOT NULL,
    secret BYTEA,
    verify_token BYTEA NOT NULL,
    base TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    clients TEXT COLLATE "C" NOT NULL,
    set_again SMALLINT NOT NULL,
    linked_at BIGINT NOT NULL,
    facts TEXT COLLATE "C",
    facts_at BIGINT,
    subscribed SMALLINT,
    lost_at BIGINT,
    read_at BIGINT,
    cursor TEXT COLLATE "C" NOT NULL
);

CREATE INDEX links_by_portfolio ON links (portfolio, linked_at, waba);

CREATE TABLE linked (
    id TEXT COLLATE "C" PRIMARY KEY,
    e164 TEXT COLLATE "C" NOT NULL UNIQUE,
    cc TEXT COLLATE "C" NOT NULL,
    waba TEXT COLLATE "C" NOT NULL REFERENCES links ON DELETE CASCADE,
    found_at BIGINT NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C",
    registered_at BIGINT,
    waiting_client TEXT COLLATE "C",
    waiting_at BIGINT,
    waiting_sealed BYTEA,
    pin_confirmed_at BIGINT,
    pin_doubted SMALLINT NOT NULL,
    ledger TEXT COLLATE "C" NOT NULL,
    guess_ticket BIGINT NOT NULL,
    guess_run BIGINT NOT NULL,
    guess_forgiven BIGINT NOT NULL,
    guess_paid TEXT COLLATE "C" NOT NULL,
    guess_since BIGINT,
    guess_locked SMALLINT NOT NULL,
    guess_warned SMALLINT NOT NULL,
    under_way_act TEXT COLLATE "C",
    under_way_key TEXT COLLATE "C",
    under_way_at BIGINT,
    under_way_by TEXT COLLATE "C",
    under_way_client TEXT COLLATE "C",
    under_way_registered SMALLINT,
    under_way_pin_on SMALLINT,
    under_way_pin_key TEXT COLLATE "C",
    under_way_unknown SMALLINT,
    off_asked_at BIGINT,
    name_asked TEXT COLLATE "C" NOT NULL,
    name_approved_at BIGINT,
    set_again SMALLINT NOT NULL,
    alerts TEXT COLLATE "C" NOT NULL,
    looks INTEGER NOT NULL,
    due_at BIGINT,
    audit_seq BIGINT NOT NULL,
    audit_head BYTEA NOT NULL
);

CREATE INDEX linked_by_waba ON linked (waba, e164);
CREATE INDEX linked_by_holder ON linked (holder) WHERE holder IS NOT NULL;
CREATE INDEX linked_by_waiting ON linked (waiting_client, waiting_at) WHERE waiting_client IS NOT NULL;
CREATE INDEX linked_due ON linked (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX linked_alarmed ON linked (waba, e164) WHERE alerts <> '' OR off_asked_at IS NOT NULL;

CREATE TABLE vault (
    number TEXT COLLATE "C" NOT NULL REFERENCES linked ON DELETE CASCADE,
    place INTEGER NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (number, place)
);

CREATE TABLE past_chains (
    id TEXT COLLATE "C" PRIMARY KEY,
    audit_seq BIGINT NOT NULL,
    audit_head BYTEA NOT NULL
);

CREATE TABLE heard (
    key BYTEA PRIMARY KEY,
    at BIGINT NOT NULL
);

CREATE INDEX heard_by_time ON heard (at) ;
