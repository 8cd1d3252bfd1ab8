"""The picture in the README: real output of ``nightlatch demo``, shortened. ``make docs`` draws it."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from tests.docs.reference import ROOT

FILE: Final = ROOT / "docs" / "demo.svg"
_WIDTH: Final = 100
_EXCHANGE: Final = re.compile(r"(?m)^(?=(?:\x1b\[1m)?  (?:POST|GET|DELETE|\$) )")
_FIRST, _FIFTH, _WAIT = "wrong guess 1,", "wrong guess 5,", "Retry-After: 60"
_TITLE, _NEXT = "\x1b[36m\x1b[1mA thief has", "\x1b[36m\x1b[1mThe owner gets in"
_REST: Final = "  … and so on"


def demo() -> str:
    """What the command prints on a terminal."""
    command = [str(Path(sys.executable).with_name("nightlatch")), "demo", "--color"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def shortened(output: str) -> str:
    """The scene with the thief, without the guesses that look like those before them."""
    _, title, scene = output.partition(_TITLE)
    output = title + scene.partition(_NEXT)[0]
    kept: list[str] = []
    skipping = False
    for one in _EXCHANGE.split(output):
        skipping = skipping and _FIFTH not in one
        if not skipping:
            kept.append(one.partition("  … ")[0])
        if _FIRST in one or _WAIT in one:
            skipping = True
            kept.append("  …\n")
        if _REST in one:
            skipping = False
            kept.append(_REST + one.partition(_REST)[2])
    return "".join(kept).strip("\n")


def drawn(output: str) -> str:
    """*output* as SVG that asks no other host for anything."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    for line in output.splitlines():
        console.print(Text.from_ansi(line), soft_wrap=False)
    svg = console.export_svg(title="nightlatch demo", unique_id="demo")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"\s*<!-- Generated with Rich.*?-->", "", svg)


def main() -> None:
    FILE.write_text(drawn(shortened(demo())) + "\n", encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
