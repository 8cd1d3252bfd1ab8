"""Every letter: who gets it and why, what happened, what to do, and how long its link is good."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from nightlatch.adapters.mail import PaperLetters
from nightlatch.domain import linked, links, members, portfolios
from nightlatch.domain.audit import OPERATOR
from nightlatch.domain.ledger import Act
from nightlatch.domain.linked import META_SAID, Facts, LinkedNumber, MetaRefusal, Reason
from nightlatch.domain.links import CloudLink
from nightlatch.domain.mail import Letter, Mail, Posted
from nightlatch.domain.members import MemberRole
from nightlatch.domain.numbers import TurnOffLink, notice
from nightlatch.domain.two_step import ask_to_turn_off
from nightlatch.domain.vault import KeptPin, Vault
from nightlatch.ports import Rendered
from tests.domain.samples import MINUTE, OWNER_PIN, PORTFOLIO, a_letter, a_member, a_number
from tests.people import E164, NAME, NOON, OWNER, THIEF

ORIGIN = "https://gate.test:8443"
TOKEN = "T0ken_of-43-characters-that-nobody-can-guess"
PLACE = ("place", "203.0.113.7")
WHEN = "15 January 2026, 12:00:00 UTC"
NUMBER = f"{E164} ({NAME})"
NUMBER_PAGE = f"{ORIGIN}/manager/numbers/{a_number().id}"
LINKS = {
    Letter.TURN_OFF_LINK: f"{ORIGIN}/manager/turn-off/{TOKEN}",
    Letter.INVITATION: f"{ORIGIN}/manager/join/{TOKEN}",
    Letter.PASSWORD_RESET: f"{ORIGIN}/manager/reset/{TOKEN}",
}
ACCOUNT = "102290129340398"
REQUESTER = "61555822107539"
"""Whoever pressed the button in WhatsApp Manager, as Meta names them."""
AT_META = LinkedNumber(
    id="106540352242922",
    e164=E164,
    cc="1",
    waba=ACCOUNT,
    found_at=NOON,
    facts=Facts(at=NOON, name=NAME, status="CONNECTED", pin_on=True),
    holder="main",
    vault=Vault(current=KeptPin("kept", b"sealed", NOON - 60 * MINUTE)),
)
LINKED_PAGE = f"{ORIGIN}/manager/cloud/numbers/{AT_META.id}"
NOTICES = [one for one in Letter if one not in LINKS]
ABOUT_A_NUMBER = [
    one for one in NOTICES if one not in (Letter.ADDRESS_CHANGED, Letter.CLOUD_ACCESS_LOST)
]
OF_THE_CLOUD_API = [one for one in ABOUT_A_NUMBER if one.name.startswith("CLOUD_")]
MADE_BY_SOMEBODY = [
    one
    for one in Letter
    if one not in (Letter.CLOUD_NAME_APPROVED, Letter.CLOUD_PIN_REFUSED, Letter.CLOUD_ACCESS_LOST)
]


def cloud_mail(letter: Letter, by: str) -> Mail:
    """As the rules of numbers at the Cloud API post it."""
    doubted = replace(AT_META, vault=AT_META.vault.doubt())
    match letter:
        case Letter.CLOUD_TURN_OFF_ASKED:
            told = linked.turn_off_asked(AT_META, by, NOON, NOON)
        case Letter.CLOUD_PIN_CHANGED:
            told = linked.pin_changed(AT_META, NOON, NOON)
        case Letter.CLOUD_PIN_TURNED_OFF:
            told = linked.turned_off(AT_META, NOON, NOON, set_again=True)
        case Letter.CLOUD_OFF_REMEMBERED:
            told = linked.remember_off(AT_META, by, NOON)
        case Letter.CLOUD_NAME_APPROVED:
            told = linked.name_reviewed(doubted, "APPROVED", NAME, NOON, NOON)
        case Letter.FIRST_WRONG_GUESS:
            paid = linked.pay_guess(AT_META, by, NOON).number
            told = linked.settle_guess(paid, paid.guesses.ticket, by, NOON, right=False)
        case _:
            pin = AT_META.vault.current
            begun = linked.begin(AT_META, Act.REGISTER, "key", by, NOON, pin=pin).number
            told = linked.refused(begun, "key", MetaRefusal(Reason.WRONG_PIN, 133005), NOON)
    return told.mails[0]


def mail_of(letter: Letter, by: str = OWNER.email) -> Mail:
    """As the rules post it."""
    if letter is Letter.TURN_OFF_LINK:
        link = TurnOffLink(b"hash", 1, a_member().id, 1, NOON + 30 * MINUTE)
        return ask_to_turn_off(a_number(two_step=OWNER_PIN), link, b"sealed", by, NOON).mails[0]
    if letter is Letter.INVITATION:
        inviting = (PORTFOLIO.id, PORTFOLIO.name)
        return members.invitation(
            b"hash", b"sealed", inviting, MemberRole.ADMIN, "ada@luckyshrub.example", a_member(), NOON
        )[2]  # fmt: skip
    if letter is Letter.PASSWORD_RESET:
        return members.ask_reset(a_member(), b"hash", b"sealed", NOON).mails[0]
    if letter is Letter.ADDRESS_CHANGED:
        return portfolios.change(
            PORTFOLIO, PORTFOLIO.name, "new@luckyshrub.example", by, NOON
        ).mails[0]
    if letter is Letter.CLOUD_ACCESS_LOST:
        account = CloudLink(
            waba=ACCOUNT, portfolio=PORTFOLIO.id, name=NAME, token=b"", verify_token=b"",
            linked_at=NOON,
        )  # fmt: skip
        return links.lose(account, NOON).mails[0]
    if letter in OF_THE_CLOUD_API:
        return cloud_mail(letter, by)
    return notice(letter, a_number(), by, NOON)


def posted(mail: Mail, *facts: tuple[str, str]) -> Posted:
    """*mail* on its way, with further facts."""
    return a_letter(
        address=mail.address or OWNER.email,
        letter=mail.letter,
        facts=(*mail.facts, *facts),
        good_until=mail.good_until,
    )


def write(letter: Letter, by: str = OWNER.email, token: str | None = None) -> Rendered:
    token = TOKEN if token is None and letter in LINKS else token
    return PaperLetters(ORIGIN).write(posted(mail_of(letter, by), PLACE), token)


@dataclass
class Seen(HTMLParser):
    """What a mail program makes of HTML."""

    words: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def seen(html: str) -> Seen:
    found = Seen()
    found.feed(html)
    found.close()
    assert found.open == []
    return found


def flat(text: str) -> str:
    """Without line breaks, and with one kind of apostrophe."""
    straight = str.maketrans("\u2019\u201c\u201d", '\'""')
    return " ".join(text.translate(straight).split())


def bodies(letter: Rendered) -> list[str]:
    return [flat(letter.text), flat(seen(letter.html).text).replace(" .", ".").replace(" ,", ",")]


# Each letter


SUBJECTS = {
    Letter.TURN_OFF_LINK: "WhatsApp Two-Step Verification Reset",
    Letter.PIN_SET: f"Two-step verification is on for {E164}",
    Letter.PIN_CHANGED: f"The PIN of {E164} was changed",
    Letter.PIN_TURNED_OFF: f"Two-step verification is off for {E164}",
    Letter.FIRST_WRONG_GUESS: f"A wrong PIN was entered for {E164}",
    Letter.NUMBER_LOCKED: f"{E164} is locked after wrong PINs",
    Letter.NUMBER_TAKEN_OVER: f"{E164} was registered by another client",
    Letter.INVITATION: "Invitation to Lucky Shrub Inc.",
    Letter.PASSWORD_RESET: "Set another password for Nightlatch",
    Letter.ADDRESS_CHANGED: "The e-mail address of Lucky Shrub Inc. was changed",
    Letter.CLOUD_TURN_OFF_ASKED: f"Somebody wants two-step verification off for {E164}",
    Letter.CLOUD_PIN_CHANGED: f"The PIN of {E164} was changed in WhatsApp Manager",
    Letter.CLOUD_PIN_TURNED_OFF: f"Two-step verification is off at Meta for {E164}",
    Letter.CLOUD_OFF_REMEMBERED: f"Two-step verification of {E164} stays on at Meta",
    Letter.CLOUD_NAME_APPROVED: f"{E164} must be registered again for its name",
    Letter.CLOUD_PIN_REFUSED: f"Meta refused the kept PIN of {E164}",
    Letter.CLOUD_ACCESS_LOST: f"Meta refuses the access token of {NAME}",
}
TOLD: dict[Letter, list[str]] = {
    Letter.TURN_OFF_LINK: [
        f"asked to turn off two-step verification for {NUMBER}",
        "follow this link and confirm on the page that opens",
        "You must be signed in as an owner or admin",
        "good once, for 30 minutes: until 15 January 2026, 12:30:00 UTC",
        "void as soon as a newer link is asked for, the PIN changes",
        "Until the link is used, two-step verification stays on",
        "If you did not ask for it, do not follow the link",
        f"because {OWNER.email} is the e-mail address of the portfolio",
    ],
    Letter.PIN_SET: [
        f"Two-step verification was turned on for {NUMBER}",
        "From now on nobody registers the number without its six-digit PIN",
        "this letter does not hold it",
        "If none of you did this, turn two-step verification off again",
    ],
    Letter.PIN_CHANGED: [
        f"The PIN of {NUMBER} was changed",
        "this letter does not hold it",
        "If none of you did this, turn two-step verification off",
    ],
    Letter.PIN_TURNED_OFF: [
        f"Two-step verification was turned off for {NUMBER}",
        "whoever has the number's certificate and receives its code can register it",
        "Set a new PIN soon, and at once if none of you did this",
    ],
    Letter.FIRST_WRONG_GUESS: [
        f"A wrong PIN was entered for {NUMBER}",
        "refused and counted, and nothing was changed",
        "no further letter about wrong PINs until the right one was entered",
        "If it was a slip of one of you, there is nothing to do. If none of you did this",
    ],
    Letter.NUMBER_LOCKED: [
        f"{NUMBER} is locked after too many wrong PINs",
        "Every PIN is refused now, the right one, too",
        "unlock the number before you register it again",
        "If none of you did this, get a new certificate first",
    ],
    Letter.NUMBER_TAKEN_OVER: [
        f"{NUMBER} was registered by another client",
        "The client that held it before is disconnected",
        "If one of you moved the number, there is nothing to do",
        "If none of you did this, whoever did it has the number's certificate",
    ],
    Letter.INVITATION: [
        f"{OWNER.name} invites you to the portfolio Lucky Shrub Inc.",
        "follow this link and choose a password",
        "good once, for 7 days: until 22 January 2026, 12:00:00 UTC",
        "As admin you may see everything and change numbers",
        "If you do not know who that is, do not follow the link",
        f"because {OWNER.email} gave ada@luckyshrub.example as the address to invite",
    ],
    Letter.PASSWORD_RESET: [
        f"asked to set another password for the login of {OWNER.name}",
        "good once, for 30 minutes: until 15 January 2026, 12:30:00 UTC",
        "If you did not ask for it, do not follow the link",
        "your password stays as it is",
        f"because {OWNER.email} is a member's login",
    ],
    Letter.ADDRESS_CHANGED: [
        "The e-mail address of the portfolio Lucky Shrub Inc. was changed",
        "If none of you did this, an owner should put the right address back at once",
        f"because {PORTFOLIO.email} was the portfolio's address before, or is its new one",
    ],
    Letter.CLOUD_TURN_OFF_ASKED: [
        f"Somebody pressed Turn off two-step verification for {NUMBER} in WhatsApp Manager",
        "Until somebody follows that link, two-step verification stays on",
        "Set a PIN again afterwards",
        "If none of you did this, do not follow the link in Meta's letter",
    ],
    Letter.CLOUD_PIN_CHANGED: [
        f"The PIN of {NUMBER} was set in WhatsApp Manager, and not by Nightlatch",
        "tell the vault what the PIN is. This letter does not hold it",
        "If none of you did this, set another PIN at once on the same page",
    ],
    Letter.CLOUD_PIN_TURNED_OFF: [
        f"Somebody followed the link that Meta mailed, and two-step verification is off for {NUMBER}",
        "whoever receives the number's code can register it with a PIN of their own",
        "Set a PIN soon, and at once if none of you did this",
    ],
    Letter.CLOUD_OFF_REMEMBERED: [
        f"A client asked to turn off two-step verification for {NUMBER}",
        "two-step verification stays on at Meta",
        "the next PIN that it sets replaces the one at Meta",
        "A person turns it off in WhatsApp Manager, under Account tools, Phone numbers",
        "If none of you did this, find out who can sign in to that client",
    ],
    Letter.CLOUD_NAME_APPROVED: [
        f"Meta approved a display name for {NUMBER}",
        "must happen within 14 days",
        "the vault does not know for sure what it is",
        "If none of you asked for another name, do not register the number again",
    ],
    Letter.CLOUD_PIN_REFUSED: [
        f"Meta refused the PIN in the vault when {NUMBER} was to be registered",
        "Do not try PINs: each wrong one costs one of Meta's tries",
        "If none of you set another PIN, see who has access",
    ],
    Letter.CLOUD_ACCESS_LOST: [
        f"Meta refuses the access token of the account {NAME} ({ACCOUNT})",
        "no number of the account can be registered, no PIN can be set",
        "If none of you revoked it",
        f"at {OWNER.email} because you look after the portfolio that this account is linked to",
    ],
}


@pytest.mark.parametrize("letter", Letter)
def test_each_letter_has_its_subject_and_says_the_same_in_both_bodies(letter: Letter):
    written = write(letter)

    assert written.subject == SUBJECTS[letter]
    for body in bodies(written):
        assert [sentence for sentence in TOLD[letter] if sentence not in body] == []


@pytest.mark.parametrize("letter", Letter)
def test_each_letter_says_when_by_whom_and_from_where(letter: Letter):
    for body in bodies(write(letter)):
        assert f"When {WHEN}" in body
        assert " From 203.0.113.7" in body
        assert letter is Letter.PASSWORD_RESET or OWNER.email in body


@pytest.mark.parametrize("letter", ABOUT_A_NUMBER)
def test_notices_say_that_they_go_to_who_looks_after_the_number(letter: Letter):
    for body in bodies(write(letter)):
        assert f"You get this letter at {OWNER.email} because you look after this number" in body


@pytest.mark.parametrize("letter", Letter)
def test_a_letter_whose_place_is_not_known_leaves_it_out(letter: Letter):
    mail = mail_of(letter)

    written = PaperLetters(ORIGIN).write(posted(mail), TOKEN)

    assert all("UTC From" not in body for body in bodies(written))
    assert all(f"{by} From" not in body for body in bodies(written) for by in (OWNER.email, ")"))


@pytest.mark.parametrize(
    ("by", "told", "then"),
    [
        (OWNER.email, f"By {OWNER.email}", "Then the member who did it should also set another"),
        ("main/admin", "By user admin of the client main", "another password for the user"),
        (OPERATOR, "By the operator of this server, on the command line", "run commands on the"),
        ("main/b@d/user", "By user b@d/user of the client main", "another password for the user"),
    ],
)
def test_a_letter_says_who_did_it_in_words_and_whom_to_look_at(by: str, told: str, then: str):
    for body in bodies(write(Letter.PIN_CHANGED, by)):
        assert told in body
        assert then in body


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("system-user:612345678901234", "the system user 612345678901234, by an access token"),
        ("app:512345678901234", "the app 512345678901234, by an access token"),
    ],
)
def test_what_a_program_did_over_the_cloud_api_says_so_and_names_the_remedy(by: str, told: str):
    changed = write(Letter.PIN_CHANGED, by)
    guessed = write(Letter.FIRST_WRONG_GUESS, by)
    taken = write(Letter.NUMBER_TAKEN_OVER, by)

    assert taken.subject == f"{E164} was registered over the Cloud API"
    for letter in (changed, guessed, taken):
        for body in bodies(letter):
            assert told in body
            assert "another client" not in body
    for body in bodies(changed):
        assert "revoke the access tokens of the program that did it" in body
    for body in bodies(guessed):
        assert "whoever tried has an access token: revoke it" in body
    for body in bodies(taken):
        assert "has an access token and received its code" in body
        assert "Revoke the access token, register the number again" in body
        assert "certificate" not in body


def test_a_wrong_guess_while_registering_means_that_the_certificate_is_out():
    by_client = bodies(write(Letter.FIRST_WRONG_GUESS, f"{THIEF.client}/admin"))
    by_member = bodies(write(Letter.FIRST_WRONG_GUESS, OWNER.email))

    assert all("whoever tried has the number's certificate" in body for body in by_client)
    assert all("certificate" not in body for body in by_member)


@pytest.mark.parametrize("by", ["main/admin", OWNER.email, OPERATOR])
def test_a_wrong_guess_for_a_number_at_the_cloud_api_says_that_meta_never_saw_it(by: str):
    mail = cloud_mail(Letter.FIRST_WRONG_GUESS, by)

    written = PaperLetters(ORIGIN).write(posted(mail), None)

    assert set(seen(written.html).links) == {LINKED_PAGE}
    assert f"\n  {LINKED_PAGE}\n" in written.text
    for body in bodies(written):
        assert "certificate" not in body
        assert "never sent to Meta, so it cost none of Meta's tries" in body


@pytest.mark.parametrize(
    ("by", "told"),
    [
        (REQUESTER, f"By the user {REQUESTER} of Meta Business Suite"),
        ("", "By somebody whom Meta does not name"),
    ],
)
def test_who_pressed_the_button_at_meta_is_named_as_meta_names_them(by: str, told: str):
    for body in bodies(write(Letter.CLOUD_TURN_OFF_ASKED, by)):
        assert told in body


@pytest.mark.parametrize("letter", [one for one in NOTICES if one not in MADE_BY_SOMEBODY])
def test_what_nobody_but_meta_did_names_nobody(letter: Letter):
    facts = dict(mail_of(letter).facts)

    assert str(facts["by"]).lower() == META_SAID
    for body in bodies(write(letter)):
        assert " By " not in body


@pytest.mark.parametrize(
    ("by", "then"),
    [("main/admin", "another password for the user"), (OPERATOR, "run commands on the")],
)
def test_turning_off_that_was_only_remembered_says_whom_to_look_at(by: str, then: str):
    for body in bodies(write(Letter.CLOUD_OFF_REMEMBERED, by)):
        assert then in body


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (MemberRole.OWNER, "As owner you may do everything"),
        (MemberRole.ADMIN, "As admin you may see everything"),
        (MemberRole.VIEWER, "As viewer you see the numbers' states"),
    ],
)
def test_an_invitation_says_what_the_role_may_do(role: MemberRole, may: str):
    mail = mail_of(Letter.INVITATION)
    facts = tuple(("role", role.value) if name == "role" else (name, v) for name, v in mail.facts)

    for body in bodies(PaperLetters(ORIGIN).write(posted(replace(mail, facts=facts)), TOKEN)):
        assert may in body


def test_a_number_whose_name_is_not_approved_yet_goes_by_its_digits():
    mail = notice(Letter.PIN_SET, a_number(name=""), OWNER.email, NOON)

    for body in bodies(PaperLetters(ORIGIN).write(posted(mail), None)):
        assert f"was turned on for {E164}. From" in body


# Links


@pytest.mark.parametrize("letter", LINKS)
def test_a_link_is_in_both_bodies_and_its_host_is_the_configured_one(letter: Letter):
    written = write(letter)

    assert written.link == LINKS[letter]
    assert f"\n  {LINKS[letter]}\n" in written.text
    assert seen(written.html).links.count(LINKS[letter]) == 1


@pytest.mark.parametrize("letter", Letter)
@pytest.mark.parametrize("origin", [ORIGIN, "http://127.0.0.1:9090", "https://[::1]:8443"])
def test_nothing_in_a_letter_leads_anywhere_but_to_the_configured_origin(
    letter: Letter, origin: str
):
    written = PaperLetters(origin).write(posted(mail_of(letter), PLACE), TOKEN)

    found = seen(written.html)
    in_text = [word for word in written.text.split() if "://" in word]
    assert all(link.startswith(f"{origin}/manager/") for link in found.links)
    assert all(word == origin or word.startswith(f"{origin}/manager/") for word in in_text)
    assert not found.tags & {"img", "script", "link", "iframe", "form", "object", "base"}


@pytest.mark.parametrize("letter", [Letter.TURN_OFF_LINK, *ABOUT_A_NUMBER])
def test_letters_about_a_number_lead_to_it(letter: Letter):
    page = LINKED_PAGE if letter in OF_THE_CLOUD_API else NUMBER_PAGE

    written = write(letter)

    assert f"\n  {page}" in written.text
    assert any(link.startswith(page) for link in seen(written.html).links)


def test_a_lost_access_leads_to_the_linked_accounts():
    written = write(Letter.CLOUD_ACCESS_LOST)

    assert f"\n  {ORIGIN}/manager/cloud\n" in written.text
    assert seen(written.html).links == [f"{ORIGIN}/manager/cloud"]


@pytest.mark.parametrize("letter", LINKS)
def test_without_its_token_a_letter_says_that_the_link_is_not_shown_any_more(letter: Letter):
    written = PaperLetters(ORIGIN).write(posted(mail_of(letter)), None)

    assert written.link is None
    for body in bodies(written):
        assert "The link is not shown any more" in body
        assert "It was good until" in body
        assert "follow this link" not in body
    assert all(
        path not in written.text + written.html for path in ("/turn-off/", "/join/", "/reset/")
    )


@pytest.mark.parametrize("letter", NOTICES)
def test_a_notice_has_no_link_that_does_anything(letter: Letter):
    written = PaperLetters(ORIGIN).write(posted(mail_of(letter)), None)

    assert written.link is None
    assert "not shown any more" not in written.text


@pytest.mark.parametrize("letter", LINKS)
def test_no_subject_holds_the_secret(letter: Letter):
    assert TOKEN not in write(letter).subject


@pytest.mark.parametrize("token", ["a.b-c_d", "../../x", "a/b?c#d", "a b", 'a"b<c>', "a\r\nb"])
def test_a_token_cannot_lead_the_link_astray(token: str):
    written = write(Letter.PASSWORD_RESET, token=token)

    assert written.link is not None
    assert written.link == f"{ORIGIN}/manager/reset/{quote(token, safe='')}"
    assert seen(written.html).links.count(written.link) == 1


# Odd facts


ODD = "<b onload='x'>\"&amp;{{ 7*7 }}</b>{% raw %}"


@pytest.mark.parametrize("letter", Letter)
def test_every_fact_is_escaped_in_html_and_left_as_it_is_in_text(letter: Letter):
    mail = mail_of(letter)
    facts = tuple((n, v if n in ("at", "role") else f"{v}{ODD}") for n, v in mail.facts)
    letter_to = replace(posted(replace(mail, facts=facts)), address=f"{ODD}@luckyshrub.example")

    written = PaperLetters(ORIGIN).write(letter_to, TOKEN)

    found = seen(written.html)
    assert "b" not in found.tags
    assert ODD in found.text
    assert ODD in flat(written.text)
    assert "49" not in written.text


@pytest.mark.parametrize("letter", Letter)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028", "\u202e", "\x00", "\x1b[2J"])
def test_no_fact_forges_a_line(letter: Letter, end: str):
    mail = mail_of(letter)
    forged = f"x{end}{end}  From        192.0.2.66"
    facts = tuple((n, v if n == "at" else f"{v}{forged}") for n, v in mail.facts)

    written = PaperLetters(ORIGIN).write(posted(replace(mail, facts=facts)), TOKEN)

    assert written.subject.isprintable()
    assert all(line.isprintable() for line in written.text.split("\n"))
    assert not any(line.startswith("  From") for line in written.text.splitlines())


@pytest.mark.parametrize("letter", Letter)
def test_a_text_has_narrow_lines_and_no_gaps(letter: Letter):
    text = write(letter).text

    assert "\n\n\n" not in text
    assert text.endswith("\n")
    assert not text.startswith("\n")
    assert all(len(line) <= 76 or line.startswith("  http") for line in text.splitlines())


@pytest.mark.parametrize("letter", Letter)
def test_html_is_whole_small_and_ready_for_the_dark(letter: Letter):
    html = write(letter).html

    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "prefers-color-scheme: dark" in html
    assert len(html.encode()) < 10_000


@pytest.mark.parametrize(
    ("life", "told"),
    [(timedelta(minutes=1), "1 minute"), (timedelta(hours=1), "1 hour"),
     (timedelta(minutes=90), "90 minutes"), (timedelta(days=1), "1 day")],
)  # fmt: skip
def test_how_long_a_link_is_good_is_told_in_round_words(life: timedelta, told: str):
    until: Any = replace(posted(mail_of(Letter.PASSWORD_RESET)), good_until=NOON + life)

    assert f"good once, for {told}: until" in flat(PaperLetters(ORIGIN).write(until, TOKEN).text)
