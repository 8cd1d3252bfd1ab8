"""Lists as files: CSV for people, JSON Lines for programs, sent as they are made.

Reading and sending may both be done without waiting; other requests get their
turn after each piece all the same.
"""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from nightlatch.domain.errors import ParameterInvalid

Row = TypeVar("Row")
Cells = Mapping[str, str | int | bool | None]

_AT_ONCE = 16 * 1024
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_PHONE = re.compile(r"\+[0-9]{5,15}", re.ASCII)
_BOM = b"\xef\xbb\xbf"


class Format(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Download:
    """A file, sent as it is made."""

    name: str
    media_type: str
    chunks: AsyncIterator[bytes]


_MEDIA = {Format.CSV: "text/csv; charset=utf-8", Format.JSONL: "application/jsonl; charset=utf-8"}


def read_format(text: str) -> Format:
    """Raises ParameterInvalid."""
    try:
        return Format(text)
    except ValueError as error:
        raise ParameterInvalid("format", "`csv` or `jsonl`") from error


def download(
    name: str,
    written: Format,
    columns: Sequence[str],
    rows: AsyncIterator[Row],
    cells: Callable[[Row], Cells],
) -> Download:
    """A file of *rows*, which are read while it is sent."""
    write = _csv if written is Format.CSV else _jsonl
    return Download(f"{name}.{written}", _MEDIA[written], write(columns, rows, cells))


async def _csv(
    columns: Sequence[str], rows: AsyncIterator[Row], cells: Callable[[Row], Cells]
) -> AsyncIterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    begun = False
    async for row in rows:
        told = cells(row)
        writer.writerow([safe_cell(told[column]) for column in columns])
        if buffer.tell() > _AT_ONCE:
            yield (b"" if begun else _BOM) + _taken(buffer)
            begun = True
            await asyncio.sleep(0)
    yield (b"" if begun else _BOM) + _taken(buffer)


async def _jsonl(
    columns: Sequence[str], rows: AsyncIterator[Row], cells: Callable[[Row], Cells]
) -> AsyncIterator[bytes]:
    buffer = io.StringIO()
    async for row in rows:
        told = cells(row)
        json.dump({column: told[column] for column in columns}, buffer, ensure_ascii=False)
        buffer.write("\n")
        if buffer.tell() > _AT_ONCE:
            yield _taken(buffer)
            await asyncio.sleep(0)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "replace")


def safe_cell(value: str | float | None) -> str:
    """A cell that no spreadsheet takes for a formula; a phone number stays as it is."""
    text = "" if value is None else str(value)
    if text.lstrip(" ").startswith(_FORMULA) and not _PHONE.fullmatch(text):
        return "'" + text
    return text
