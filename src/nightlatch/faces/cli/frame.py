"""What every command shares: opening the data folder, and how things end."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from functools import update_wrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from nightlatch.domain.errors import Refusal
from nightlatch.faces.cli import words
from nightlatch.faces.cli.demo import Stage
from nightlatch.faces.cli.house import House, Moved
from nightlatch.faces.exports import Format
from nightlatch.settings import SettingRefused, Settings, load
from nightlatch.usecases.portfolios import find_portfolio

T = TypeVar("T")
FC = TypeVar("FC", bound=Callable[..., Any])
REFUSED, BROKEN = 1, 3
DATA_HELP = "The data folder; also NIGHTLATCH_DATA. Default: nightlatch-data."
DATABASE_HELP = "postgresql://user@host/name, without a password; also NIGHTLATCH_DATABASE."

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@dataclass(frozen=True)
class Parts:
    """What the command line is given by the bootstrap, which alone knows all the parts."""

    open_house: Callable[..., AbstractAsyncContextManager[House]]
    set_up: Callable[[Any], Awaitable[bool]]
    serve: Callable[..., Awaitable[None]]
    configure_logs: Callable[[str, str], None]
    start_refused: type[Exception]
    throw_away: Callable[[], AbstractAsyncContextManager[Stage]]
    migrate: Callable[[Settings], Coroutine[Any, Any, int]]
    serve_many: Callable[..., Awaitable[None]]
    move: Callable[..., Coroutine[Any, Any, Moved]]
    give_up: Callable[[Settings, str], Coroutine[Any, Any, Moved]]


def stop(message: str, code: int = REFUSED) -> NoReturn:
    """End with a sentence on standard error."""
    click.echo(f"nightlatch: {message}", err=True)
    sys.exit(code)


def run(parts: Parts, work: Coroutine[Any, Any, T]) -> T:
    """Run *work* and turn what it raises into a sentence and an exit code."""
    try:
        try:
            import uvloop
        except ImportError:  # pragma: no cover - not on Windows
            return asyncio.run(work)
        return uvloop.run(work)
    except Refusal as refusal:
        stop(words.of(refusal))
    except (SettingRefused, parts.start_refused) as refused:
        stop(str(refused))
    except OSError as error:
        stop(f"{error.filename or 'the system'}: {error.strerror}")


def with_house(work: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Open the data folder, hand the house to *work*, close it again."""

    @click.pass_context
    def command(context: click.Context, /, **arguments: Any) -> None:
        parts: Parts = context.obj
        data = arguments.pop("data", None) or context.meta.get("data")

        async def inside() -> None:
            parts.configure_logs("auto", "warning")
            async with parts.open_house(load(data=data)) as house:
                await work(house, **arguments)

        run(parts, inside())

    wrapped = click.option("--data", type=Path, help=DATA_HELP)(command)
    return update_wrapper(wrapped, work)


async def portfolio_of(house: House, chosen: str | None) -> str:
    """Id of the portfolio that is meant: the chosen one, or the only one.

    Raises:
        PortfolioUnknown: there is no such portfolio.
    """
    found = await house.world.store.portfolios()
    if chosen is None and len(found) > 1:
        several = ", ".join(f"{one.id} ({one.name})" for one in found)
        stop(f"there are several portfolios; choose one with --portfolio: {several}")
    return found[0].id if chosen is None else (await find_portfolio(house.world, chosen)).id


in_portfolio = click.option(
    "--portfolio", help="Id of the portfolio; needed when there are several."
)


def one_of(
    kinds: type[StrEnum], *names: str, default: StrEnum | None = None, help: str
) -> Callable[[FC], FC]:
    """An option that takes one of *kinds*, by its value; required without a *default*."""
    return click.option(
        *names,
        type=click.Choice([kind.value for kind in kinds]),
        required=default is None,
        default=None if default is None else default.value,
        show_default=default is not None,
        callback=lambda _context, _parameter, value: kinds(value),
        help=help,
    )


as_file = one_of(
    Format, "--format", "written", default=Format.JSONL,
    help="CSV for spreadsheets, or JSON Lines for programs.",
)  # fmt: skip
