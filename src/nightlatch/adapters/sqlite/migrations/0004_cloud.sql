-- Linked accounts, and their numbers that live at the Cloud API.

CREATE TABLE links (
    waba TEXT PRIMARY KEY,
    portfolio TEXT NOT NULL REFERENCES portfolios,
    name TEXT NOT NULL,
    token BLOB NOT NULL,
    secret BLOB,
    verify_token BLOB NOT NULL,
    base TEXT NOT NULL,
    version TEXT NOT NULL,
    clients TEXT NOT NULL,
    set_again INTEGER NOT NULL,
    linked_at INTEGER NOT NULL,
    facts TEXT,
    facts_at INTEGER,
    subscribed INTEGER,
    lost_at INTEGER,
    read_at INTEGER,
    cursor TEXT NOT NULL
);

CREATE INDEX links_by_portfolio ON links (portfolio, linked_at, waba);

-- An E.164 number is here or in numbers, never in both.
CREATE TABLE linked (
    id TEXT PRIMARY KEY,
    e164 TEXT NOT NULL UNIQUE,
    cc TEXT NOT NULL,
    waba TEXT NOT NULL REFERENCES links ON DELETE CASCADE,
    found_at INTEGER NOT NULL,
    facts TEXT NOT NULL,
    holder TEXT,
    registered_at INTEGER,
    waiting_client TEXT,
    waiting_at INTEGER,
    waiting_sealed BLOB,
    pin_confirmed_at INTEGER,
    pin_doubted INTEGER NOT NULL,
    ledger TEXT NOT NULL,
    guess_ticket INTEGER NOT NULL,
    guess_run INTEGER NOT NULL,
    guess_forgiven INTEGER NOT NULL,
    guess_paid TEXT NOT NULL,
    guess_since INTEGER,
    guess_locked INTEGER NOT NULL,
    guess_warned INTEGER NOT NULL,
    under_way_act TEXT,
    under_way_key TEXT,
    under_way_at INTEGER,
    under_way_by TEXT,
    under_way_client TEXT,
    under_way_registered INTEGER,
    under_way_pin_on INTEGER,
    under_way_pin_key TEXT,
    under_way_unknown INTEGER,
    off_asked_at INTEGER,
    name_asked TEXT NOT NULL,
    name_approved_at INTEGER,
    set_again INTEGER NOT NULL,
    alerts TEXT NOT NULL, -- empty when there are none
    looks INTEGER NOT NULL,
    due_at INTEGER,
    audit_seq INTEGER NOT NULL,
    audit_head BLOB NOT NULL
);

CREATE INDEX linked_by_waba ON linked (waba, e164);
CREATE INDEX linked_by_holder ON linked (holder) WHERE holder IS NOT NULL;
CREATE INDEX linked_by_waiting ON linked (waiting_client, waiting_at)
    WHERE waiting_client IS NOT NULL;
CREATE INDEX linked_due ON linked (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX linked_alarmed ON linked (waba, e164)
    WHERE alerts <> '' OR off_asked_at IS NOT NULL;

-- Place 0 is the PIN that Meta took last; those that it may have taken follow, as the vault has them.
CREATE TABLE vault (
    number TEXT NOT NULL REFERENCES linked ON DELETE CASCADE,
    place INTEGER NOT NULL,
    key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (number, place)
) WITHOUT ROWID;

-- How the chains of numbers end whose account was unlinked. A number that comes back goes on there.
CREATE TABLE past_chains (
    id TEXT PRIMARY KEY,
    audit_seq INTEGER NOT NULL,
    audit_head BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE heard (
    key BLOB PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX heard_by_time ON heard (at)
