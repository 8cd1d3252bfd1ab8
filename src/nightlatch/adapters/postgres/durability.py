"""Whether this PostgreSQL could forget a commit that it acknowledged.

A forgotten guess is a guess given back to the thief. So the server's settings are looked at on
each new connection, for a role and a database can have settings of their own; and `nightlatch
check` and the readiness probe ask the whole question.
"""

from collections import Counter
from collections.abc import Iterable

SETTINGS = """
SELECT 'setting' AS kind, name, setting AS value FROM pg_catalog.pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names')
"""
"""The part of `QUESTION` that is asked on each new connection."""
_ATTACHED = """
SELECT 'reader', r.application_name, r.state
  FROM pg_catalog.pg_stat_replication r
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s
                    WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
UNION ALL
SELECT 'slot', slot_name, active::text FROM pg_catalog.pg_replication_slots
 WHERE slot_type = 'physical' AND NOT temporary AND NOT active
"""
QUESTION = f"{SETTINGS} UNION ALL {_ATTACHED}"
"""One statement; its rows are what `durability` takes. Any role may ask it.

The readers are those who receive the log, but for logical subscribers, which nobody fails over
to. A role without `pg_monitor` gets them without names and states. A physical slot that nobody
uses belongs to a standby that is away just now.
"""

Row = tuple[str, str | None, str | None]


def durability(rows: Iterable[Row]) -> list[str]:
    """A sentence for each way in which an acknowledged commit could be lost; none is good.

    A server on its own passes with its own disk. One that has standbys passes only when a
    commit waits for one of them, because whoever fails over to a standby that is behind takes
    back what the nodes have answered. Not seen from here: that a failover picks the synchronous
    standby (Patroni does with `synchronous_mode`), and what a provider does below its disks.
    """
    rows = list(rows)
    settings = {name: value for kind, name, value in rows if kind == "setting"}
    return [
        *_on_its_own(settings.get("fsync"), settings.get("full_page_writes")),
        *_commits(settings.get("synchronous_commit")),
        *_without_waiting(settings.get("synchronous_standby_names"), rows),
    ]


def _on_its_own(fsync: str | None, full_page_writes: str | None) -> Iterable[str]:
    if fsync != "on":
        yield "fsync is off: a crash of the machine loses commits and can destroy the database."
    if full_page_writes != "on":
        yield "full_page_writes is off: a crash of the machine can leave torn pages."


def _commits(synchronous_commit: str | None) -> Iterable[str]:
    match synchronous_commit:
        case "on" | "remote_apply":
            return
        case "local":
            yield "synchronous_commit is local: a commit waits for no standby."
        case "remote_write":
            yield (
                "synchronous_commit is remote_write: a standby may acknowledge what is not yet"
                " on its disk."
            )
        case other:
            yield f"synchronous_commit is {other}: a crash loses the last acknowledged commits."


def _without_waiting(names: str | None, rows: list[Row]) -> Iterable[str]:
    """With names there, a commit waits; it would wait for ever before it was acknowledged."""
    if names:
        return
    found = Counter(_what(row) for row in rows)
    for what, sentence in _SENTENCES.items():
        if number := found[what]:
            yield sentence.format(number=number)


_SENTENCES = {
    "standby": (
        "synchronous_standby_names is empty and standbys are attached ({number}):"
        " a failover loses what they have not received yet."
    ),
    "unseen": (
        "synchronous_standby_names is empty and somebody receives the log ({number}), which this"
        " role cannot see: grant it pg_monitor. If it is a standby, a failover loses commits."
    ),
    "away": (
        "synchronous_standby_names is empty and a standby is away ({number} unused replication"
        " slots): a failover to it loses every commit that it missed."
    ),
}


def _what(row: Row) -> str:
    kind, _, value = row
    if kind == "slot":
        return "away"
    if kind != "reader" or value == "backup":  # a backup is a copy, nobody to fail over to
        return "nothing"
    return "unseen" if value is None else "standby"
