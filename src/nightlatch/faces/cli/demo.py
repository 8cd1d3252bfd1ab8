"""The story: the owner, the thief, and the PIN between them. Played for real, over a socket."""

import base64
import http.client
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from nightlatch.domain.limits import GUESS_LOCK, GUESS_WAITS

Say = Callable[[str], None]
_OWNER, _THIEF = "/v1", "/clients/thief/v1"
_PASSWORD = "Night-Latch-1"  # noqa: S105 - of a server that lives for seconds
_TOKEN_DAYS = 5  # log in again before tokens run out
_PIN, _NEW_PIN = "271828", "602214"


@dataclass(frozen=True)
class Stage:
    """A throw-away server with a second client called ``thief``."""

    port: int
    e164: str
    cc: str
    phone_number: str
    certificate: str
    newest_code: Callable[[], Awaitable[str]]
    """What the phone shows: the SIM may be anybody's by then."""
    pass_time: Callable[[timedelta], None]
    in_thread: Callable[..., Awaitable[Any]]
    unlock: Callable[[], Awaitable[None]]


async def play(stage: Stage, say: Say) -> bool:
    """Play every scene; whether each step ended as it should."""
    story = _Story(stage, say)
    for scene in (story.owner_moves_in, story.thief_tries, story.owner_comes_back):
        await scene()
    verdict = "every step ended as it should" if story.good else "SOMETHING WENT WRONG"
    say("\n" + click.style(verdict, fg="green" if story.good else "red", bold=True))
    return story.good


class _Story:
    def __init__(self, stage: Stage, say: Say) -> None:
        self.stage = stage
        self.say = say
        self.good = True
        self.tokens: dict[str, str] = {}
        self.explained: set[str] = set()

    async def owner_moves_in(self) -> None:
        self.title("The owner registers the number and sets a PIN")
        await self.call(
            _OWNER, "POST", "/users/login", None, 403, "the factory password opens nothing"
        )
        await self.log_in(_OWNER)
        await self.register(_OWNER, None, 202, "a code is sent to the phone")
        await self.enter_code(_OWNER)
        await self.two_step("POST", _PIN, "two-step verification is on")
        await self.health(_OWNER, "connected")

    async def thief_tries(self) -> None:
        self.title("A thief has the SIM and the certificate, and wants the number")
        await self.log_in(_THIEF)
        await self.register(_THIEF, None, 400, "refused: the PIN is missing")
        await self.register(_THIEF, "12345", 400, "refused: that is no PIN, and no guess")
        guesses = 0
        for wait in GUESS_WAITS:
            guesses += 1
            await self.register(_THIEF, f"{guesses:06d}", 403, f"wrong guess {guesses}, counted")
            if wait:
                answer = await self.register(
                    _THIEF, _PIN, 429, "even the right PIN is refused unread while the wait runs"
                )
                self.pause(wait, answer.retry_after)
        self.say(f"  … and so on, one guess a day, {GUESS_LOCK - guesses} days long")
        aloud, self.say = self.say, lambda _: None
        while guesses < GUESS_LOCK:
            if guesses % _TOKEN_DAYS == 0:
                await self.log_in(_THIEF, _PASSWORD)
            guesses += 1
            await self.register(_THIEF, f"{guesses:06d}", 403, "")
            self.stage.pass_time(GUESS_WAITS[-1])
        await self.log_in(_THIEF, _PASSWORD)
        await self.log_in(_OWNER, _PASSWORD)
        self.say = aloud
        await self.register(
            _THIEF, _PIN, 403, f"locked after {guesses} wrong guesses, until a person unlocks"
        )
        await self.health(_OWNER, "connected")

    async def owner_comes_back(self) -> None:
        self.title("The owner gets in, always")
        await self.two_step(
            "DELETE", None, "the client that holds the number can always turn it off"
        )
        await self.register(_OWNER, None, 201, "and the number is still the owner's")
        await self.two_step("POST", _NEW_PIN, "and set a new PIN")
        await self.stage.unlock()
        self.say("  $ nightlatch numbers unlock " + self.stage.e164)
        await self.register(_OWNER, _NEW_PIN, 201, "registered again, with the new PIN")
        await self.register(_THIEF, _PIN, 403, "the thief, with the old PIN")
        await self.health(_OWNER, "connected")
        await self.health(_THIEF, "unregistered")

    async def log_in(self, client: str, password: str | None = None) -> None:
        body = {"new_password": _PASSWORD} if password is None else None
        answer = await self.call(
            client, "POST", "/users/login", body, 200, "logged in", password or "secret"
        )
        self.tokens[client] = answer.body["users"][0]["token"] if answer.status == 200 else ""

    async def register(self, client: str, pin: str | None, status: int, why: str) -> "_Answer":
        body = {
            "cc": self.stage.cc,
            "phone_number": self.stage.phone_number,
            "method": "sms",
            "cert": self.stage.certificate,
        }
        return await self.call(
            client, "POST", "/account", body if pin is None else {**body, "pin": pin}, status, why
        )

    async def enter_code(self, client: str) -> None:
        code = await self.stage.newest_code()
        self.say(f"  $ nightlatch codes {self.stage.e164} --plain\n    {code}")
        await self.call(client, "POST", "/account/verify", {"code": code}, 201, "registered")

    async def two_step(self, method: str, pin: str | None, why: str) -> None:
        body = None if pin is None else {"pin": pin}
        await self.call(_OWNER, method, "/settings/account/two-step", body, 200, why)

    async def health(self, client: str, expected: str) -> None:
        answer = await self.call(client, "GET", "/health", None, 200, "")
        found = answer.body.get("health", {}).get("gateway_status")
        self.judge(found == expected, f"{client} says it is {found}")

    async def call(
        self,
        client: str,
        method: str,
        path: str,
        body: dict[str, str] | None,
        status: int,
        why: str,
        password: str | None = None,
    ) -> "_Answer":
        if path == "/users/login":
            login = base64.b64encode(f"admin:{password or 'secret'}".encode()).decode()
            authorization = f"Basic {login}"
        else:
            authorization = f"Bearer {self.tokens.get(client, '')}"
        answer: _Answer = await self.stage.in_thread(
            _exchange, self.stage.port, method, client + path, body, authorization
        )
        shown = "" if body is None else " " + json.dumps(body | _short(body), ensure_ascii=False)
        self.say(click.style(f"  {method} {client}{path}", bold=True) + shown)
        self.say(f"    {answer.status} {self.told(answer)}")
        self.judge(answer.status == status, why)
        return answer

    def told(self, answer: "_Answer") -> str:
        """The part of the answer that tells the story; each code is explained once."""
        if "errors" in answer.body:
            error = answer.body["errors"][0]
            short = f"{error['code']} {error['title']}"
            if error["details"] in self.explained:
                return short
            self.explained.add(error["details"])
            return f"{short}: {error['details']}"
        rest = {name: value for name, value in answer.body.items() if name != "meta"}
        if "users" in rest:
            rest["users"] = [{**user, "token": user["token"][:12] + "…"} for user in rest["users"]]
        return json.dumps(rest, ensure_ascii=False)

    def judge(self, good: bool, why: str) -> None:
        self.good = self.good and good
        if why or not good:
            mark = click.style("✓", fg="green") if good else click.style("✗", fg="red")
            self.say(f"    {mark} {why}")

    def title(self, text: str) -> None:
        self.say("\n" + click.style(text, fg="cyan", bold=True))

    def pause(self, wait: timedelta, told: str) -> None:
        self.judge(told == str(int(wait.total_seconds())), f"Retry-After: {told}")
        self.say(f"  … {wait} later")
        self.stage.pass_time(wait)


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str
    body: dict[str, Any]


def _short(body: dict[str, str]) -> dict[str, str]:
    return {"cert": body["cert"][:8] + "…"} if "cert" in body else {}


def _exchange(
    port: int, method: str, path: str, body: dict[str, str] | None, authorization: str
) -> _Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": authorization}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return _Answer(
            answer.status, answer.headers.get("Retry-After", ""), json.loads(answer.read())
        )
    finally:
        connection.close()
