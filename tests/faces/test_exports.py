"""Files: cells that no spreadsheet takes for a formula, rows sent as they are read."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.errors import ParameterInvalid
from nightlatch.faces import exports
from nightlatch.faces.exports import Format

COLUMNS = ("number", "name")


async def rows(*values: dict[str, str]) -> AsyncIterator[dict[str, str]]:
    for value in values:
        yield value


async def whole(written: Format, *values: dict[str, str]) -> bytes:
    made = exports.download("list", written, COLUMNS, rows(*values), lambda row: row)
    return b"".join([chunk async for chunk in made.chunks])


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1", "+1+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "+49cmd", "-",
        '=HYPERLINK("http://evil.example")', "+4915112345678|calc",
    ],
)  # fmt: skip
def test_what_begins_like_a_formula_is_text(cell):
    assert exports.safe_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "Lucky Shrub", "+16315551000", "1-2", "a=b"])
def test_other_cells_and_phone_numbers_stay_as_they_are(cell):
    assert exports.safe_cell(cell) == cell


@given(st.text(max_size=20))
def test_no_cell_begins_with_a_sign_of_a_formula(text):
    cell = exports.safe_cell(text)

    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.lstrip(" ").startswith(("=", "-", "@", "\t", "\r", "\n"))


async def test_csv_is_read_back_as_it_was():
    made = await whole(
        Format.CSV,
        {"number": "+16315551000", "name": 'Shrub, "Lucky"\nand sons'},
        {"number": "+16315551001", "name": "=cmd|' /C calc'!A0"},
    )

    assert made.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(made.decode("utf-8-sig"), newline=""))) == [
        ["number", "name"],
        ["+16315551000", 'Shrub, "Lucky"\nand sons'],
        ["+16315551001", "'=cmd|' /C calc'!A0"],
    ]


async def test_json_lines_hold_one_object_a_line():
    made = await whole(
        Format.JSONL,
        {"number": "+16315551000", "name": "Söhne\n=1"},
        {"number": "+1", "name": "b"},
    )

    assert [json.loads(line) for line in made.decode().splitlines()] == [
        {"number": "+16315551000", "name": "Söhne\n=1"},
        {"number": "+1", "name": "b"},
    ]


@pytest.mark.parametrize("written", Format)
async def test_a_long_list_comes_in_pieces_and_is_not_gathered_first(written):
    read = 0

    async def many() -> AsyncIterator[dict[str, str]]:
        nonlocal read
        for i in range(10_000):
            read += 1
            yield {"number": f"+1631{i:07}", "name": "n" * 40}

    made = exports.download("list", written, COLUMNS, many(), lambda row: row)
    chunks = aiter(made.chunks)

    first = await anext(chunks)
    after_first = read
    rest = [chunk async for chunk in chunks]

    assert after_first < 2_000
    assert len(rest) >= 5
    assert (first + b"".join(rest)).count(b"+1631") == 10_000


@pytest.mark.parametrize("text", ["", "xml", "CSV", "csv "])
def test_there_are_two_formats(text):
    with pytest.raises(ParameterInvalid):
        exports.read_format(text)


@pytest.mark.parametrize("written", Format)
async def test_others_get_their_turn_while_a_long_list_is_written(written):
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def many() -> AsyncIterator[dict[str, str]]:
        for i in range(5_000):
            yield {"number": f"+1631{i:07}", "name": "n" * 40}

    other = asyncio.create_task(somebody_else())
    made = exports.download("list", written, COLUMNS, many(), lambda row: row)
    pieces = len([chunk async for chunk in made.chunks])
    other.cancel()

    assert pieces > 10
    assert turns >= pieces - 1
