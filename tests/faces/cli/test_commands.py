"""Every command that looks at or changes a data folder."""

import json
import re
from pathlib import Path

import click
import pytest

from nightlatch.adapters.keyring import KeyRing
from nightlatch.faces.cli.commands import cli
from tests.faces.cli.conftest import Line, Spoil
from tests.people import CC, E164, NAME, NATIONAL, NOON

UNKNOWN = "+16315559999"


def _every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [path]
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            found += _every_command(command, (*path, name))
        else:
            found.append((*path, name))
    return found


COMMANDS = _every_command(cli)
NEEDS_A_FOLDER: list[tuple[str, ...]] = [
    ("numbers", "list"), ("numbers", "show", E164), ("numbers", "certificate", E164),
    ("numbers", "unlock", E164), ("numbers", "add", E164, "--name", "X"), ("clients", "list"),
    ("clients", "add", "shop"), ("codes", E164), ("users", "reset-password"), ("keys", "list"),
    ("keys", "rotate"), ("keys", "add"), ("keys", "drop-old"), ("audit", "show"), ("audit", "verify"), ("audit", "export"),
    ("backup", "copy.db"), ("check",), ("numbers", "name", E164, "X"), ("numbers", "approve", E164),
    ("numbers", "decline", E164), ("numbers", "deregister", E164), ("numbers", "export"),
    ("numbers", "import", __file__), ("members", "list"), ("members", "reset-password", "a@b.com"),
    ("members", "add", "a@b.com", "--name", "X", "--role", "owner"), ("mail", "list"),
    ("mail", "show", "x"), ("mail", "retry", "x"), ("portfolios", "list"), ("portfolios", "change"),
    ("portfolios", "add", "X", "--email", "a@b.com"), ("wabas", "list"), ("wabas", "add", "X"),
]  # fmt: skip


def test_there_is_every_command_that_is_promised():
    leaves = {" ".join(path) for path in COMMANDS if path}

    assert leaves >= {
        "serve", "demo", "numbers add", "numbers list", "numbers show", "numbers certificate",
        "numbers unlock", "clients add", "clients list", "codes", "users reset-password",
        "keys list", "keys rotate", "keys add", "keys drop-old", "audit show", "audit verify", "audit export", "backup",
        "check", "numbers name", "numbers approve", "numbers decline", "numbers deregister",
        "numbers export", "numbers import", "members add", "members list",
        "members reset-password", "mail list", "mail show", "mail retry", "portfolios list",
        "portfolios add", "portfolios change", "wabas list", "wabas add",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "nightlatch")
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_says_what_a_command_does(line: Line, path: tuple[str, ...], flag: str):
    done = line(*path, flag, data=False)

    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: {' '.join(['nightlatch', *path])}")
    assert re.search(r"^  [A-Z].*\.$", done.stdout, re.MULTILINE)  # a sentence
    assert "--help" in done.stdout


def test_help_lists_commands_without_cutting_their_sentences_short(line: Line):
    done = line("--help", data=False)

    assert "Exit codes" in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2]


def test_a_misspelled_command_or_option_exits_with_2(line: Line):
    assert line("nubmers", data=False).exit_code == 2
    assert line("numbers", "list", "--jsno").exit_code == 2
    assert line("numbers", "show").exit_code == 2
    assert line("numbers", "add", E164).exit_code == 2


@pytest.mark.parametrize("words", NEEDS_A_FOLDER, ids=" ".join)
def test_without_a_data_folder_a_command_exits_with_1_and_says_how_to_start_one(
    tmp_path: Path, words: tuple[str, ...]
):
    done = Line(tmp_path / "nothing")(*words)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("nightlatch: there is no Nightlatch in ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "nothing").exists()


def test_the_data_folder_may_come_from_the_environment_or_before_the_command(line: Line):
    by_environment = line("clients", "list", data=False, NIGHTLATCH_DATA=str(line.data))
    in_front = line("--data", str(line.data), "clients", "list", data=False)

    assert by_environment.exit_code == in_front.exit_code == 0
    assert by_environment.stdout == in_front.stdout == line("clients", "list").stdout


# Numbers


def test_numbers_list_as_json_gives_what_a_registration_needs(line: Line):
    (number,) = line.json("numbers", "list")

    assert (number["e164"], number["cc"], number["phone_number"]) == (E164, CC, NATIONAL)
    assert number["name"] == NAME
    assert number["status"] == "CONNECTED"
    assert number["two_step"] == "on"
    assert number["held_by"] == "main"
    assert (number["id"][0], number["waba"][0]) == ("1", "3")
    assert number["wrong_in_a_row"] == 6
    assert number["guesses"].startswith("wait ")


def test_numbers_list_as_a_table_shows_a_row_for_each_number(line: Line):
    assert line("numbers", "add", "+4915123456789", "--name", "Zweite").exit_code == 0

    done = line("numbers", "list")

    head, *rows = done.stdout.splitlines()
    assert head.split()[:2] == ["e164", "cc"]
    assert [row.split()[0] for row in rows] == [E164, "+4915123456789"]


def test_a_number_may_be_added_in_any_spelling_and_only_once(line: Line):
    added = line("numbers", "add", "+49 151 2345 6780", "--name", "Laden")
    again = line("numbers", "add", "+49-151-2345-6780", "--name", "Laden")

    assert added.exit_code == 0
    assert added.stdout == "added +4915123456780 (Laden)\n"
    assert again.exit_code == 1
    assert "already" in again.stderr
    assert len(line.json("numbers", "list")) == 2


@pytest.mark.parametrize("number", ["", "12", "not a number", "+1 631 555 1000 ext. 5", "1" * 50])
def test_what_is_no_number_is_refused_with_a_sentence(line: Line, number: str):
    done = line("numbers", "add", number, "--name", "X")

    assert done.exit_code == 1
    assert done.stderr.startswith("nightlatch: phone_number must be ")


def test_a_display_name_that_cannot_be_shown_is_refused(line: Line):
    done = line("numbers", "add", "+4915123456789", "--name", "two\nlines")

    assert done.exit_code == 1
    assert done.stderr.startswith("nightlatch: name must be ")


def test_numbers_show_tells_the_state_and_what_happened_last(line: Line):
    shown = line.json("numbers", "show", f"1 {NATIONAL}")
    done = line("numbers", "show", E164)

    assert shown["e164"] == E164
    assert shown["events"][-1]["event"] == "guess.wrong"
    assert shown["events"][-1]["by"] == "thief/admin"
    assert done.exit_code == 0
    assert "guess.wrong" in done.stdout
    assert NAME in done.stdout


@pytest.mark.parametrize("command", ["show", "certificate", "unlock"])
def test_an_unknown_number_is_refused(line: Line, command: str):
    done = line("numbers", command, UNKNOWN)

    assert done.exit_code == 1
    assert done.stderr.startswith("nightlatch: The registry does not know this number")


def test_numbers_certificate_prints_just_one_line_of_base64(line: Line):
    done = line("numbers", "certificate", E164)

    assert re.fullmatch(r"[A-Za-z0-9+/=]{100,}\n", done.stdout)
    assert done.stderr == ""
    assert done.exit_code == 0


def test_numbers_unlock_ends_the_wait(line: Line):
    done = line("numbers", "unlock", E164)

    assert done.exit_code == 0
    assert done.stdout == f"unlocked {E164}\n"
    (number,) = line.json("numbers", "list")
    assert (number["guesses"], number["wrong_in_a_row"]) == ("open", 0)
    assert line.json("numbers", "show", E164)["events"][-1]["event"] == "number.unlocked"


# Clients and users


def test_clients_list_says_who_holds_what(line: Line):
    clients = line.json("clients", "list")

    assert clients == [
        {"name": "main", "path": "/v1", "number": E164, "shards": 1},
        {"name": "thief", "path": "/clients/thief/v1", "number": None, "shards": 1},
    ]
    assert "/clients/thief/v1" in line("clients", "list").stdout


def test_a_client_is_added_once_and_its_name_must_fit_a_path(line: Line):
    added = line("clients", "add", "shop")
    again = line("clients", "add", "shop")
    odd = line("clients", "add", "no/slash")

    assert added.exit_code == 0
    assert "/clients/shop/v1" in added.stdout
    assert "admin / secret" in added.stdout
    assert (again.exit_code, odd.exit_code) == (1, 1)
    assert "already" in again.stderr
    assert "name must be" in odd.stderr


def test_resetting_the_password_of_nobody_is_refused(line: Line):
    for words in (("nobody",), ("--client", "nobody")):
        done = line("users", "reset-password", *words)

        assert done.exit_code == 1
        assert done.stderr.startswith("nightlatch: There is no such client or user")


# Codes


def test_codes_plain_prints_just_the_newest_code(line: Line):
    (shown,) = line.json("codes", E164)

    done = line("codes", E164, "--plain")

    assert re.fullmatch(r"[0-9]{6}\n", done.stdout)
    assert shown["code"].replace("-", "") == done.stdout.strip()
    assert shown["by"] == "sms"
    assert shown["code"] in line("codes", E164).stdout


def test_codes_of_a_number_that_got_none(line: Line):
    assert line("numbers", "add", "+4915123456789", "--name", "Laden").exit_code == 0

    assert line("codes", "+4915123456789").stdout == "no code has arrived that is still good\n"
    assert line.json("codes", "+4915123456789") == []
    plain = line("codes", "+4915123456789", "--plain")
    assert (plain.exit_code, plain.stdout) == (1, "")
    assert line("codes", UNKNOWN).exit_code == 1


# Keys


def test_keys_list_counts_what_each_key_seals_and_shows_no_key(line: Line):
    ring = json.loads((line.data / "keyring.json").read_text())

    (key,) = line.json("keys", "list")
    table = line("keys", "list").stdout

    assert key["kid"] == ring["writable"]
    assert key["new_values"] == "yes"
    assert key["sealed_values"] == 4  # a PIN, two passwords, a code
    assert key["kid"] in table
    for secret in (ring["registry"], ring["sealing"][0]["key"]):
        assert secret not in table + json.dumps(key)


def test_keys_rotate_seals_everything_anew_and_keeps_the_old_key(line: Line):
    (old,) = line.json("keys", "list")

    done = line("keys", "rotate")

    assert done.exit_code == 0
    kept, new = line.json("keys", "list")
    assert done.stdout == f"new key {new['kid']}; 4 values sealed anew\n"
    assert (kept["kid"], kept["sealed_values"], kept["new_values"]) == (old["kid"], 0, "no")
    assert (new["sealed_values"], new["new_values"]) == (4, "yes")


def test_keys_rotate_drop_old_forgets_the_old_key(line: Line):
    done = line("keys", "rotate", "--drop-old")

    assert done.exit_code == 0
    (key,) = line.json("keys", "list")
    assert key["sealed_values"] == 4
    assert len(json.loads((line.data / "keyring.json").read_text())["sealing"]) == 1
    assert line("check").exit_code == 0


def test_keys_that_are_added_copied_rotated_and_dropped_are_one_new_key_in_the_end(line: Line):
    added = line("keys", "add")
    old, waits = line.json("keys", "list")
    refused = line("keys", "rotate", "--drop-old")
    rotated = line("keys", "rotate")
    dropped = line("keys", "drop-old")

    (left,) = line.json("keys", "list")
    assert added.stdout.startswith(f"added key {waits['kid']}; copy the key ring to all nodes")
    assert (old["new_values"], waits["new_values"]) == ("yes", "next")
    assert (refused.exit_code, "nightlatch keys drop-old" in refused.stderr) == (1, True)
    assert rotated.stdout == f"new key {waits['kid']}; 4 values sealed anew\n"
    assert dropped.stdout == "old keys are forgotten; 0 values sealed anew\n"
    assert (left["kid"], left["new_values"], left["sealed_values"]) == (waits["kid"], "yes", 4)
    assert line("check").exit_code == 0


def test_a_value_that_cannot_be_opened_is_left_alone_and_its_key_kept(line: Line, spoil: Spoil):
    spoil(
        "UPDATE users SET verifier = CAST(substr(verifier, 1, 50) || x'00' AS BLOB)"
        " WHERE client = 'thief'"
    )

    done = line("keys", "rotate", "--drop-old")

    assert done.exit_code == 3
    assert "1 values could not be opened" in done.stderr
    assert [key["sealed_values"] for key in line.json("keys", "list")] == [1, 3]


# The audit trail


def test_audit_show_tells_the_newest_events_in_order(line: Line):
    everything = line.json("audit", "show")
    last = line.json("audit", "show", "--last", "3")
    of_one = line.json("audit", "show", "--number", E164)

    assert last == everything[-3:]
    assert set(everything[0]) == {"subject", "seq", "at", "event", "by", "place", "details"}
    assert {event["subject"].partition(":")[0] for event in everything} == {"number", "client"}
    assert len({event["subject"] for event in of_one}) == 1
    assert [event["seq"] for event in of_one] == list(range(1, len(of_one) + 1))
    assert "guess.wrong" in line("audit", "show").stdout


def test_audit_export_prints_every_event_as_json_lines(line: Line):
    done = line("audit", "export")

    events = [json.loads(text) for text in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert len(events) == len(line.json("audit", "show", "--last", "1000"))
    assert all(re.fullmatch("[0-9a-f]{64}", event["hash"]) for event in events)
    for subject in {event["subject"] for event in events}:
        seqs = [event["seq"] for event in events if event["subject"] == subject]
        assert seqs == list(range(1, len(seqs) + 1))


def test_audit_verify_and_check_find_an_untouched_folder_in_order(line: Line):
    verified = line("audit", "verify")
    checked = line("check")

    assert (verified.exit_code, verified.stdout) == (0, "4 chains hold\n")
    assert checked.exit_code == 0
    assert checked.stdout == "database, audit trail and key ring are in order\n"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET kind = 'guess.right' WHERE kind = 'guess.wrong'",
        "UPDATE audit SET by = 'main/admin' WHERE kind = 'guess.wrong'",
        "UPDATE audit SET at = at + 1 WHERE kind = 'guess.paid'",
        "UPDATE audit SET place = '192.0.2.66' WHERE kind = 'guess.wrong'",
        "UPDATE audit SET details = '[]' WHERE kind = 'guess.paid'",
        "UPDATE audit SET details = 'no json' WHERE kind = 'guess.paid'",
        "UPDATE audit SET kind = 'no.such.kind' WHERE kind = 'guess.paid'",
        "DELETE FROM audit WHERE kind = 'guess.wrong'",
        "DELETE FROM audit WHERE subject LIKE 'number:%'",
        "UPDATE audit SET seq = -seq WHERE kind = 'guess.wrong'",
        "INSERT INTO audit SELECT subject, 99, at, kind, by, details, hash, place FROM audit WHERE seq = 5",
    ],
)
def test_a_trail_that_was_changed_exits_with_3_and_names_the_chain(
    line: Line, spoil: Spoil, sql: str
):
    spoil(sql)

    verified = line("audit", "verify")
    checked = line("check")

    assert verified.exit_code == checked.exit_code == 3, verified.output
    assert re.search(
        r"^number:\d{15}: does not hold from event \d+ on$", verified.stderr, re.MULTILINE
    )
    assert "1 of 4 chains were changed" in verified.stderr
    assert "audit: the chain of number:" in checked.stderr


# Upkeep


def test_a_backup_is_whole_and_replaces_nothing(line: Line, tmp_path: Path):
    copy = tmp_path / "restored" / "nightlatch.db"
    copy.parent.mkdir(mode=0o700)

    done = line("backup", copy)
    again = line("backup", copy)

    assert done.exit_code == 0
    assert str(copy) in done.stdout
    assert "key ring" in done.stdout
    assert again.exit_code == 1
    assert again.stderr == f"nightlatch: {copy} is there already; name a new file\n"
    (copy.parent / "keyring.json").write_bytes((line.data / "keyring.json").read_bytes())
    (copy.parent / "keyring.json").chmod(0o600)
    restored = Line(copy.parent)
    assert restored("check").exit_code == 0
    assert restored.json("numbers", "list")[0]["two_step"] == "on"


def test_a_backup_into_a_folder_that_is_not_there_is_refused_with_a_sentence(
    line: Line, tmp_path: Path
):
    done = line("backup", tmp_path / "missing" / "copy.db")

    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("nightlatch: ")


def test_check_finds_a_row_that_points_nowhere(line: Line, spoil: Spoil):
    spoil("UPDATE numbers SET waba = '9'")

    done = line("check")

    assert done.exit_code == 3
    assert "database: a row of numbers points nowhere" in done.stderr


def test_a_key_ring_that_is_missing_open_to_others_or_of_another_nightlatch_is_refused(
    line: Line, tmp_path: Path
):
    ring, safe = line.data / "keyring.json", tmp_path / "safe.json"

    ring.rename(safe)
    missing = line("numbers", "list")
    made = ring.exists()
    KeyRing.create(ring, NOON)
    foreign = line("numbers", "list")
    safe.rename(ring)
    ring.chmod(0o644)
    open_to_others = line("numbers", "list")

    assert [done.exit_code for done in (missing, foreign, open_to_others)] == [1, 1, 1]
    assert "is missing" in missing.stderr
    assert not made
    assert "belongs to another Nightlatch" in foreign.stderr
    assert f"chmod 600 {ring}" in open_to_others.stderr
