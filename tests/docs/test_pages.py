"""What every page has to keep: links that lead somewhere, examples that exist, plain sources."""

import re
import shlex
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nightlatch.faces.cli.commands import cli
from tests.docs.picture import FILE, demo, drawn, shortened
from tests.docs.reference import ROOT

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HOST = re.compile(r"https?://(\[[^\]]*\]|[^/\s:'\"`)<>]+)")
_NAME = re.compile(
    r"\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|biz|app|ai|cloud|co|internal)\b", re.IGNORECASE
)
_OURS = re.compile(r"127\.0\.0\.1|localhost|\[::1\]|(?:[\w-]+\.)*example(?:\.(?:com|org|net))?")
_META = re.compile(r"(?:[\w-]+\.)*(?:facebook\.com|whatsapp\.com|whatsapp\.biz)")
_PLACES = tuple("/" + place + "/" for place in ("work", "root", "home/user", "tmp/bash_jobs"))
_TEXT = {".md", ".py", ".toml", ".txt", ".sql", ".svg", ".json", ".yml", ".yaml", ".sh", ""}


def tracked() -> list[Path]:
    """Every file of the repository that git has or would add; all of them where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0 and listed.stdout:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [
            path
            for path in ROOT.rglob("*")
            if not any(part in (".venv", ".git", "__pycache__") for part in path.parts)
        ]
    return [path for path in found if path.is_file()]


PAGES = sorted(path for path in tracked() if path.suffix == ".md")
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    text = prose(page)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def links(page: Path) -> Iterator[tuple[str, str]]:
    """File and anchor of each relative link."""
    for target in _LINK.findall(prose(page)):
        if not target.startswith(("http://", "https://")):
            file, _, anchor = target.partition("#")
            yield file, anchor


def shell_lines(page: Path) -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        yield from block.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_somewhere(name: str):
    page = ROOT / name

    for file, anchor in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{name} links to {file}"
        assert target.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(target), f"{name} links to {file}#{anchor}"


def test_every_page_of_docs_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page not in PAGES:
            continue
        reached.add(page)
        waiting += [(page.parent / file).resolve() for file, _ in links(page) if file]

    assert {path for path in PAGES if path.is_relative_to(ROOT / "docs")} - reached == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_no_foreign_host(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")

    for host in _HOST.findall(text) + _NAME.findall(text):
        known = _OURS.fullmatch(host) or _META.fullmatch(host.rstrip("."))
        assert known or host in ("HOST", "some-host"), f"{name} names {host}"


@pytest.mark.parametrize("name", NAMES)
def test_a_line_holds_one_sentence(name: str):
    for line in prose(ROOT / name).splitlines():
        if not line.startswith("|"):
            plain = _CODE.sub("code", line)
            assert not re.search(r"[a-z)][.?!] [A-Z*]", plain), line


def test_no_file_tells_where_it_was_written():
    for path in tracked():
        if path.suffix in _TEXT:
            text = path.read_text(encoding="utf-8", errors="replace")
            assert [place for place in _PLACES if place in text] == [], path


@pytest.mark.parametrize("name", NAMES)
def test_every_command_on_a_page_exists(name: str):
    for line in shell_lines(ROOT / name):
        for used in re.findall(r"(?<![\w-])(?:\.venv/bin/)?nightlatch ([^|)>]+)", line):
            command: click.Command = cli
            words = [word for word in shlex.split(used) if word]
            while isinstance(command, click.Group):
                command = command.commands[words.pop(0)]
            known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= known, line


def test_every_make_target_on_a_page_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    used = {line.split()[1] for page in PAGES for line in shell_lines(page) if "make " in line}
    assert {"run", "test"} <= used <= targets


def test_the_licence_is_apache_2_whole():
    text = (ROOT / "LICENSE").read_text()

    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
    assert len(text.encode()) == 11_358


def test_the_picture_asks_no_other_host_for_anything():
    text = FILE.read_text(encoding="utf-8")

    ET.fromstring(text)
    assert "@font-face" not in text
    assert "url(http" not in text
    assert set(_HOST.findall(text)) == {"www.w3.org"}


def test_the_picture_shows_what_the_demo_prints():
    def words(svg: str) -> str:
        """Without digits, which are others each time."""
        texts = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        return re.sub(r"[\d\s]", "", "".join(one.text or "" for one in texts))

    fresh = words(drawn(shortened(demo())))

    assert "lockedafterwrongguesses,untilapersonunlocks" in fresh
    assert words(FILE.read_text(encoding="utf-8")) == fresh, "run: make docs"
