"""Names, certificates, letting go, and many numbers at once."""

import csv
import io
import json
from pathlib import Path

import pytest

from nightlatch.domain.limits import REGISTRATIONS
from tests.faces.cli.conftest import Line
from tests.people import E164, NAME

SECOND = "+4915123456789"


@pytest.fixture
def two(line: Line) -> Line:
    """A second number, never registered."""
    assert line("numbers", "add", SECOND, "--name", "Zweiter Laden").exit_code == 0
    return line


def found(line: Line, *words: str) -> list[str]:
    return [number["e164"] for number in line.json("numbers", "list", *words)]


def events(line: Line, number: str) -> list[str]:
    return [event["event"] for event in line.json("numbers", "show", number)["events"]]


# Accounts and searching


def test_a_number_goes_to_the_first_account_unless_another_is_named(line: Line):
    assert line("wabas", "add", "Zweites Konto").exit_code == 0
    first, second = (waba["id"] for waba in line.json("wabas", "list"))

    assert line("numbers", "add", SECOND, "--name", "A", "--waba", second).exit_code == 0
    unknown = line("numbers", "add", "+4915123456780", "--name", "A", "--waba", "300")

    assert line.json("numbers", "show", SECOND)["waba"] == second
    assert line.json("numbers", "show", E164)["waba"] == first
    assert found(line, "--waba", second) == [SECOND]
    assert found(line) == [E164, SECOND]
    assert unknown.exit_code == 1
    assert "no such WhatsApp account; see: nightlatch wabas list" in unknown.stderr


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (("--show", "protected"), [E164]),
        (("--show", "unprotected"), [SECOND]),
        (("--show", "pending"), [SECOND]),
        (("--show", "connected"), [E164]),
        (("--show", "locked"), []),
        (("--show", "attacked"), [E164]),
        (("--search", "zweit"), [SECOND]),
        (("--search", "6789"), [SECOND]),
        (("--search", "+1 631"), [E164]),
        (("--search", "lucky", "--show", "unprotected"), []),
    ],
)
def test_numbers_are_found_by_state_digits_and_words(
    two: Line, words: tuple[str, ...], numbers: list[str]
):
    assert found(two, *words) == numbers


def test_a_state_that_does_not_exist_is_a_wrong_command(line: Line):
    assert line("numbers", "list", "--show", "odd").exit_code == 2


# Names and certificates


def test_a_name_is_changed_with_a_new_certificate_where_nobody_reviews(two: Line):
    before = two("numbers", "certificate", SECOND).stdout

    done = two("numbers", "name", SECOND, "Dritter Laden")

    assert done.stdout == f"{SECOND} is Dritter Laden now, with a new certificate\n"
    assert two.json("numbers", "show", SECOND)["name"] == "Dritter Laden"
    assert two("numbers", "certificate", SECOND).stdout != before


def test_a_name_that_waits_is_approved_or_declined(line: Line):
    assert (
        line("numbers", "add", SECOND, "--name", "Laden", NIGHTLATCH_REVIEW_NAMES="1").exit_code
        == 0
    )
    waiting = line.json("numbers", "show", SECOND)
    without = line("numbers", "certificate", SECOND)

    declined = line("numbers", "decline", SECOND)
    asked = line("numbers", "name", SECOND, "Kiosk", NIGHTLATCH_REVIEW_NAMES="1")
    approved = line("numbers", "approve", SECOND)
    again = line("numbers", "approve", SECOND)

    assert (waiting["name"], waiting["asked_name"]) == ("", "Laden")
    assert waiting["name_state"] == "PENDING_REVIEW"
    assert without.exit_code == 1
    assert "no certificate before the display name is approved" in without.stderr
    assert declined.stdout == f"declined Laden for {SECOND}\n"
    assert asked.stdout == f"{SECOND} waits for review as Kiosk\n"
    assert approved.stdout == f"{SECOND} is Kiosk now, with a new certificate\n"
    assert (again.exit_code, again.stderr) == (1, "nightlatch: No display name waits for review.\n")
    assert events(line, SECOND)[-2:] == ["name.asked", "name.approved"]


def test_the_name_of_a_registered_number_changes_once_in_thirty_days(line: Line):
    assert line("numbers", "name", E164, "Kiosk").exit_code == 0

    again = line("numbers", "name", E164, "Laden")

    assert again.exit_code == 1
    assert "The display name was changed a short time ago. Try again in " in again.stderr


def test_a_new_certificate_takes_the_place_of_the_old_one(line: Line):
    old = line("numbers", "certificate", E164).stdout

    new = line("numbers", "certificate", E164, "--new")

    assert new.exit_code == 0
    assert new.stdout != old
    assert line("numbers", "certificate", E164).stdout == new.stdout
    assert events(line, E164)[-1] == "certificate.renewed"


# Letting go


def test_a_number_is_taken_from_its_client_and_stays_protected(line: Line):
    done = line("numbers", "deregister", E164)
    again = line("numbers", "deregister", E164)

    assert done.stdout == f"{E164} was let go of by client main\n"
    assert (again.exit_code, again.stderr) == (1, "nightlatch: No client holds the number.\n")
    (number,) = line.json("numbers", "list")
    assert (number["status"], number["two_step"]) == ("DISCONNECTED", "on")


@pytest.mark.parametrize("command", ["name", "approve", "decline", "deregister"])
def test_an_unknown_number_is_refused(line: Line, command: str):
    words = ("X",) if command == "name" else ()

    done = line("numbers", command, SECOND, *words)

    assert done.exit_code == 1
    assert done.stderr.startswith("nightlatch: The registry does not know this number")


# Files


def test_numbers_are_exported_as_csv(two: Line):
    done = two("numbers", "export", "--format", "csv")

    first, second = csv.DictReader(io.StringIO(done.stdout))
    assert done.exit_code == 0
    assert (first["number"], first["name"], first["two_step"]) == (E164, NAME, "on")
    assert first["held_by"] == "main"
    assert first["wrong_in_a_row"] == "6"
    assert "PIN" in first["last_event"]
    assert (second["number"], second["status"], second["held_by"]) == (SECOND, "PENDING", "")


def test_numbers_are_exported_as_json_lines_unless_csv_is_asked_for(two: Line):
    lines = [json.loads(text) for text in two("numbers", "export").stdout.splitlines()]

    assert [one["number"] for one in lines] == [E164, SECOND]
    assert lines[1]["held_by"] is None
    assert lines[0]["account"] == two.json("wabas", "list")[0]["id"]


def test_an_export_may_be_of_some_numbers_only(two: Line):
    done = two("numbers", "export", "--show", "unprotected", "--format", "csv")

    assert [row["number"] for row in csv.DictReader(io.StringIO(done.stdout))] == [SECOND]
    assert two("numbers", "export", "--search", "nothing").stdout == ""


def test_no_name_becomes_a_formula_in_a_spreadsheet(line: Line):
    assert line("numbers", "add", SECOND, "--name", "=HYPERLINK(1)").exit_code == 0

    done = line("numbers", "export", "--format", "csv")

    assert [row["name"] for row in csv.DictReader(io.StringIO(done.stdout))][1] == "'=HYPERLINK(1)"


def test_numbers_are_imported_in_any_spelling_once(line: Line, tmp_path: Path):
    file = tmp_path / "numbers.csv"
    file.write_text(
        "\ufeffname,number,note\n"
        'Laden,+49 1512 3456789,x\n"Laden, zwei",49-151-2345-6780,\nSchon da,+16315551000,\n'
    )

    done = line("numbers", "import", file)
    again = line("numbers", "import", file)

    assert done.stdout == "added 2 numbers; 1 were there already\n"
    assert again.stdout == "added 0 numbers; 3 were there already\n"
    assert line.json("numbers", "show", "+4915123456780")["name"] == "Laden, zwei"
    assert line.json("numbers", "show", E164)["name"] == NAME


def test_many_numbers_are_imported_from_standard_input_and_exported_again(line: Line):
    rows = [f"+4915123{count:06d},Laden {count}" for count in range(170)]

    done = line("numbers", "import", "-", typed="\n".join(["number,name", *rows]) + "\n")

    assert done.stdout == "added 170 numbers\n"
    exported = csv.DictReader(io.StringIO(line("numbers", "export", "--format", "csv").stdout))
    assert [f"{one['number']},{one['name']}" for one in exported][1:] == rows
    assert line("audit", "verify").exit_code == 0


def test_an_export_can_be_imported_elsewhere(two: Line, tmp_path: Path):
    file = tmp_path / "numbers.csv"
    file.write_text(two("numbers", "export", "--format", "csv").stdout)

    assert two("numbers", "import", file).stdout == "added 0 numbers; 2 were there already\n"


def test_nothing_is_imported_when_a_line_does_not_fit(line: Line):
    typed = f"number,name\n{SECOND},Laden\n12,Kiosk\n+4915123456780,\n+4915123456781\n"

    done = line("numbers", "import", "-", typed=typed)

    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "line 3: phone_number must be a possible phone number of that country code.",
        "line 4: name must be 1 to 128 printable characters.",
        "line 5: name must be 1 to 128 printable characters.",
        "nightlatch: 3 lines do not fit; nothing was added",
    ]
    assert found(line) == [E164]


def test_of_many_lines_that_do_not_fit_only_the_first_are_shown(line: Line):
    done = line("numbers", "import", "-", typed="number,name\n" + "x,y\n" * 500)

    assert len(done.stderr.splitlines()) == 11
    assert done.stderr.endswith("500 lines do not fit; nothing was added\n")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "must name the columns number and name"),
        (f"{SECOND},Laden\n", "must name the columns number and name"),
        ('number,name\n"+49', "cannot be read as CSV in UTF-8"),
    ],
)
def test_what_is_no_such_file_is_refused(line: Line, typed: str, says: str):
    done = line("numbers", "import", "-", typed=typed)

    assert done.exit_code == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_in_another_encoding_or_none_is_refused(line: Line, tmp_path: Path):
    file = tmp_path / "latin.csv"
    file.write_bytes("number,name\n+4915123456789,Glück\n".encode("latin-1"))

    latin = line("numbers", "import", file)
    missing = line("numbers", "import", tmp_path / "missing.csv")

    assert latin.exit_code == 1
    assert "cannot be read as CSV in UTF-8" in latin.stderr
    assert missing.exit_code == 2


def test_audit_export_as_csv_has_a_line_for_each_event(line: Line):
    rows = list(csv.DictReader(io.StringIO(line("audit", "export", "--format", "csv").stdout)))
    lines = [json.loads(text) for text in line("audit", "export").stdout.splitlines()]

    assert [row["hash"] for row in rows] == [one["hash"] for one in lines]
    assert {row["place"] for row in rows} == {"", "127.0.0.1"}
    assert len(rows) > REGISTRATIONS
