"""Members: invited, joined, promoted, removed; passwords and authenticator apps."""

from dataclasses import replace

import pytest

from nightlatch.domain.errors import (
    AppAlreadyOn,
    AppCodeRefused,
    LastOwner,
    LinkRefused,
    MemberExists,
    MemberUnknown,
    ParameterInvalid,
    PortfolioUnknown,
    SignInRefused,
)
from nightlatch.domain.limits import MEMBERS_PER_PORTFOLIO
from nightlatch.domain.mail import Letter
from nightlatch.domain.members import Member, MemberRole
from nightlatch.usecases import members, portfolios, signing_in, two_step
from nightlatch.usecases.signing_in import whose
from tests.fakes.chances import KnownCodes
from tests.fakes.hashers import WatchedHasher
from tests.fakes.sign_in import FewCommonPasswords
from tests.fakes.stores import StoreWith
from tests.people import OWNER, THIEF
from tests.usecases.conftest import AGENT, COMMON, Office, Scene, outcome, outcomes

ANNA, NEW = "anna@luckyshrub.example", "Owners-Next-Pass-2"
ADMIN, VIEWER = MemberRole.ADMIN, MemberRole.VIEWER


async def invited(office: Office, email: str = ANNA, role: MemberRole = ADMIN) -> str:
    """The token that was mailed."""
    await members.invite(office.world, await office.owner(), email, role)
    return await office.link(email, Letter.INVITATION)


async def join(office: Office, token: str, password: str = NEW, email: str = "") -> Member:
    begun = await members.join(office.world, token, email, "Anna", password, AGENT)
    return (await whose(office.world, begun.token))[1]


# The first owner


async def test_the_first_link_makes_an_owner_and_names_the_portfolio(office: Office):
    owner = await office.owner()
    portfolio = await office.world.store.portfolio(office.portfolio)

    assert portfolio is not None
    assert (owner.role, owner.name, owner.portfolio) == (
        MemberRole.OWNER, OWNER.name, office.portfolio,
    )  # fmt: skip
    assert (portfolio.name, portfolio.email) == ("Lucky Shrub Inc.", "post@luckyshrub.example")
    assert (await whose(office.world, office.begun.token))[0].whole
    assert (await office.kinds()) == ["member.joined", "portfolio.changed"]


async def test_once_somebody_is_a_member_there_is_no_first_link(office: Office):
    assert await members.first_owner_link(office.world) is None


async def test_a_newer_first_link_voids_the_one_before(scene: Scene):
    first = await members.first_owner_link(scene.world)
    second = await members.first_owner_link(scene.world)
    assert first is not None
    assert second is not None

    with pytest.raises(LinkRefused):
        await members.invitation(scene.world, first)

    assert (await members.invitation(scene.world, second)).role is MemberRole.OWNER


async def test_the_first_link_is_good_for_a_day(scene: Scene):
    token = await members.first_owner_link(scene.world)
    assert token is not None

    scene.pass_time(24 * 3_600)

    with pytest.raises(LinkRefused):
        await members.invitation(scene.world, token)


async def test_the_first_link_is_dead_once_somebody_joined_by_the_command_line(scene: Scene):
    world = scene.other_world(passwords=FewCommonPasswords(COMMON))
    token = await members.first_owner_link(world)
    (first,) = await world.store.portfolios()
    assert token is not None
    await members.add_member(
        world, first.id, OWNER.email, OWNER.name, MemberRole.OWNER, OWNER.password
    )

    with pytest.raises(LinkRefused):
        await members.join(world, token, THIEF.email, THIEF.name, THIEF.password, AGENT)


async def test_of_twenty_parallel_first_owners_one_comes_in(scene: Scene):
    token = await members.first_owner_link(scene.world)
    assert token is not None

    ends = await outcomes(
        *(
            members.join(scene.world, token, f"p{n}@b.example", "P", OWNER.password, AGENT)
            for n in range(20)
        )
    )

    (first,) = await scene.world.store.portfolios()
    assert ends == {"done": 1, "LinkRefused": 19}
    assert len(await scene.world.store.members(first.id)) == 1


async def test_the_first_link_is_for_the_portfolio_of_the_first_start(scene: Scene):
    (first,) = await scene.world.store.portfolios()
    smaller = scene.other_world(chance=KnownCodes(["0" * 14, "9" * 14]))
    await portfolios.add_portfolio(smaller, "Further", "post@further.example")

    token = await members.first_owner_link(scene.world)

    assert token is not None
    assert (await members.invitation(scene.world, token)).portfolio == first.id


# Inviting and joining


async def test_an_invitation_is_mailed_and_makes_a_member_of_that_role(office: Office):
    token = await invited(office, role=VIEWER)

    anna = await join(office, token, email=THIEF.email)

    assert (anna.email, anna.role, anna.portfolio) == (ANNA, VIEWER, office.portfolio)
    assert (await office.kinds())[-2:] == ["member.invited", "member.joined"]
    people, waiting = await members.people(office.world, await office.owner())
    assert [one.email for one in people] == [OWNER.email, ANNA]
    assert waiting == []


async def test_an_open_invitation_is_listed(office: Office):
    await invited(office)

    _, waiting = await members.people(office.world, await office.owner())

    assert [(one.email, one.role, one.by) for one in waiting] == [(ANNA, ADMIN, OWNER.email)]


async def test_an_invitation_is_good_once_under_twenty_parallel_joins(office: Office):
    token = await invited(office)

    ends = await outcomes(
        *(members.join(office.world, token, "", "Anna", NEW, AGENT) for _ in range(20))
    )

    assert ends == {"done": 1, "LinkRefused": 19}
    assert [m.email for m in await office.world.store.members(office.portfolio)] == [
        OWNER.email, ANNA,
    ]  # fmt: skip
    assert (await office.kinds()).count("member.joined") == 2


async def test_a_newer_invitation_voids_the_one_before(office: Office):
    first = await invited(office)
    second = await invited(office, role=VIEWER)

    with pytest.raises(LinkRefused):
        await join(office, first)

    assert (await join(office, second)).role is VIEWER


async def test_an_invitation_is_good_for_a_week(office: Office):
    token = await invited(office)

    office.scene.pass_time(7 * 86_400)

    with pytest.raises(LinkRefused):
        await join(office, token)
    assert (await members.people(office.world, await office.owner()))[1] == []


async def test_a_withdrawn_invitation_is_good_for_nothing_and_told(office: Office):
    token = await invited(office)

    await members.withdraw(office.world, await office.owner(), ANNA)

    with pytest.raises(LinkRefused):
        await join(office, token)
    trail = [link.event async for link in office.world.store.audit(f"portfolio:{office.portfolio}")]
    assert dict(trail[-1].details) == {"member": ANNA, "invited": True}


async def test_who_already_is_a_member_anywhere_is_not_invited(office: Office):
    before = await office.kinds()

    for email in (OWNER.email, THIEF.email):
        with pytest.raises(MemberExists):
            await members.invite(office.world, await office.owner(), email, ADMIN)

    assert await office.kinds() == before
    assert await office.letters() == []


async def test_who_joined_elsewhere_meanwhile_does_not_join_twice(office: Office):
    token = await invited(office)
    await members.add_member(
        office.world, office.neighbour.portfolio, ANNA, "Anna", VIEWER, OWNER.password
    )

    with pytest.raises(MemberExists):
        await join(office, token)


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("", NEW, "name"),
        ("Anna", "short", "password"),
        ("Anna", COMMON, "password"),
        ("Anna", ANNA + "!!", "password"),
        ("Anna", "luckyshrub.example", "password"),
        ("Annabelle", "xxAnnabellexx", "password"),
        ("Anna", "nightlatch-nightlatch", "password"),
        ("Anna", "x" * 129, "password"),
    ],
)
async def test_what_does_not_fit_is_refused_and_the_link_stays_good(
    office: Office, name, password, field
):
    token = await invited(office)

    with pytest.raises(ParameterInvalid) as refused:
        await members.join(office.world, token, "", name, password, AGENT)

    assert refused.value.name == field
    assert password not in str(refused.value)
    await join(office, token)


async def test_when_the_portfolio_is_full_nobody_more_is_invited(office: Office):
    owner = await office.owner()
    for n in range(MEMBERS_PER_PORTFOLIO - 1):
        await members.invite(office.world, owner, f"p{n}@b.example", VIEWER)

    ends = [
        await outcome(members.invite(office.world, owner, "late@b.example", VIEWER)),
        await outcome(members.invite(office.world, owner, "p0@b.example", ADMIN)),
        await outcome(office.add("late", ADMIN)),
    ]

    assert ends == ["TooManyMembers", "done", "TooManyMembers"]


@pytest.mark.parametrize("role", [ADMIN, VIEWER])
async def test_only_an_owner_invites_withdraws_promotes_and_removes(office: Office, role):
    other = await office.add("anna", role)
    owner = await office.owner()
    before = await office.kinds()

    ends = [
        await outcome(members.people(office.world, other)),
        await outcome(members.invite(office.world, other, "b@b.example", VIEWER)),
        await outcome(members.withdraw(office.world, other, "b@b.example")),
        await outcome(members.change_role(office.world, other, other.id, MemberRole.OWNER)),
        await outcome(members.remove(office.world, other, owner.id)),
    ]

    assert ends == ["RoleTooLow"] * 5
    assert await office.kinds() == before


@pytest.mark.parametrize("email", ["", "anna", "a b@c.example", "a@b.example\r\nBcc: x@y.example"])
async def test_what_is_no_address_is_not_invited(office: Office, email):
    with pytest.raises(ParameterInvalid):
        await members.invite(office.world, await office.owner(), email, ADMIN)


async def test_the_invitations_secret_is_in_no_row_but_sealed(office: Office):
    token = await invited(office)

    path = office.scene.house.settings.database_file
    files = {file.name: file.read_bytes() for file in path.parent.glob(f"{path.name}*")}
    assert any(ANNA.encode() in held for held in files.values())
    assert not [name for name, held in files.items() if token.encode() in held]
    assert token not in repr(await office.world.store.mails(None, 99))


# By the command line


async def test_a_member_is_added_by_the_command_line_without_a_session(office: Office):
    anna = await office.add("anna", ADMIN)

    assert (anna.email, anna.role) == (ANNA, ADMIN)
    assert await signing_in.sessions(office.world, anna) == []
    assert (await office.sign_in(ANNA)).session.whole
    assert await office.letters() == []


@pytest.mark.parametrize(
    ("portfolio", "email", "password", "refusal"),
    [
        ("no such portfolio", ANNA, OWNER.password, PortfolioUnknown),
        (None, "anna", OWNER.password, ParameterInvalid),
        (None, ANNA, COMMON, ParameterInvalid),
        (None, OWNER.email, OWNER.password, MemberExists),
    ],
)
async def test_what_does_not_fit_is_not_added(office: Office, portfolio, email, password, refusal):
    with pytest.raises(refusal):
        await members.add_member(
            office.world, portfolio or office.portfolio, email, "Anna", ADMIN, password
        )

    assert await office.world.store.member_by_email(ANNA) is None


async def test_a_member_who_is_removed_at_once_was_not_added(office: Office):
    async def gone(id: str) -> None:
        return None

    world = office.other_world(store=StoreWith(office.world.store, member=gone))
    with pytest.raises(MemberUnknown):
        await members.add_member(world, office.portfolio, ANNA, "Anna", ADMIN, OWNER.password)


# Roles


async def test_another_role_counts_at_once_and_is_told(office: Office):
    anna = await office.add("anna", ADMIN)
    begun = await office.sign_in(ANNA)

    await members.change_role(office.world, await office.owner(), anna.id, VIEWER)

    assert (await whose(office.world, begun.token))[1].role is VIEWER
    assert (await office.kinds())[-1] == "member.role_changed"


async def test_the_last_owner_stays(office: Office):
    owner = await office.owner()
    before = await office.kinds()

    with pytest.raises(LastOwner):
        await members.change_role(office.world, owner, owner.id, ADMIN)
    with pytest.raises(LastOwner):
        await members.remove(office.world, owner, owner.id)

    assert await office.owner() == owner
    assert await office.kinds() == before
    await whose(office.world, office.begun.token)


async def test_under_parallel_demotions_and_removals_an_owner_is_left(office: Office):
    owner = await office.owner()
    owners = [owner, *[await office.add(f"p{n}", MemberRole.OWNER) for n in range(9)]]

    ends = await outcomes(
        *(
            members.change_role(office.world, one, one.id, VIEWER)
            if n % 2
            else members.remove(office.world, one, one.id)
            for n, one in enumerate(owners)
        )
    )

    left = await office.world.store.members(office.portfolio)
    assert ends == {"done": 9, "LastOwner": 1}
    assert [one.role for one in left].count(MemberRole.OWNER) == 1


async def test_a_removed_member_is_signed_out_at_once(office: Office):
    anna = await office.add("anna", ADMIN)
    begun = await office.sign_in(ANNA)

    await members.remove(office.world, await office.owner(), anna.id)

    assert await outcome(whose(office.world, begun.token)) == "SignedOut"
    assert await outcome(office.sign_in(ANNA)) == "SignInRefused"
    assert (await office.kinds())[-1] == "member.removed"


async def test_a_member_may_leave(office: Office):
    anna = await office.add("anna", VIEWER)

    await members.remove(office.world, anna, anna.id)

    assert await office.world.store.member(anna.id) is None


async def test_an_owner_reaches_nobody_of_another_portfolio(office: Office):
    thief, owner = office.neighbour, await office.owner()

    ends = [
        await outcome(members.colleague(office.world, thief, owner.id)),
        await outcome(members.change_role(office.world, thief, owner.id, VIEWER)),
        await outcome(members.remove(office.world, thief, owner.id)),
        await outcome(members.colleague(office.world, thief, "4" + "0" * 14)),
    ]

    assert ends == ["MemberUnknown"] * 4
    assert await office.owner() == owner


# Passwords


async def test_another_password_ends_every_other_session(office: Office):
    other = await office.sign_in()

    await members.change_password(
        office.world, await office.owner(), office.begun.session, OWNER.password, NEW
    )

    assert await outcome(whose(office.world, other.token)) == "SignedOut"
    await whose(office.world, office.begun.token)
    assert await outcome(office.sign_in()) == "SignInRefused"
    assert await outcome(office.sign_in(password=NEW)) == "done"
    assert "member.password_changed" in await office.kinds()


async def test_without_the_current_password_there_is_no_other(office: Office):
    owner = await office.owner()

    with pytest.raises(SignInRefused):
        await members.change_password(
            office.world, owner, office.begun.session, "Thieves-guess-1", NEW
        )

    assert await office.owner() == owner


@pytest.mark.parametrize("password", ["short", COMMON, OWNER.email])
async def test_a_bad_new_password_is_refused_before_the_current_one_is_compared(
    office: Office, password
):
    hasher = WatchedHasher(office.world.hasher)

    with pytest.raises(ParameterInvalid):
        await members.change_password(
            office.other_world(hasher=hasher), await office.owner(), office.begun.session,
            OWNER.password, password,
        )  # fmt: skip

    assert hasher.compared == []


async def test_of_two_changes_at_the_same_moment_one_wins(office: Office):
    owner = await office.owner()
    hasher = WatchedHasher(office.world.hasher)

    async def another() -> None:
        hasher.before_make = WatchedHasher(hasher).before_make
        await members.change_password(
            office.world, owner, office.begun.session, OWNER.password, "Another-Pass-3"
        )

    hasher.before_make = another
    with pytest.raises(SignInRefused):
        await members.change_password(
            office.other_world(hasher=hasher), owner, office.begun.session, OWNER.password, NEW
        )

    assert await outcome(office.sign_in(password="Another-Pass-3")) == "done"
    assert (await office.owner()).version == 2


# The reset by mail


async def test_the_mailed_link_sets_another_password_once_and_signs_in(office: Office):
    await members.ask_reset(office.world, OWNER.email)
    token = await office.link(OWNER.email, Letter.PASSWORD_RESET)
    shown = await members.member_of_reset(office.world, token)

    begun = await members.follow_reset(office.world, token, NEW, AGENT)

    assert shown.email == OWNER.email
    assert (await whose(office.world, begun.token))[1].version == 2
    assert await outcome(whose(office.world, office.begun.token)) == "SignedOut"
    assert await outcome(members.follow_reset(office.world, token, NEW, AGENT)) == "LinkRefused"
    assert await outcome(members.member_of_reset(office.world, token)) == "LinkRefused"
    assert await outcome(office.sign_in(password=NEW)) == "done"


async def test_of_fifty_parallel_uses_of_one_reset_link_one_succeeds(office: Office):
    token = await members.reset_token(office.world, OWNER.email)

    ends = await outcomes(
        *(members.follow_reset(office.world, token, f"{NEW}{n:02d}", AGENT) for n in range(50))
    )

    assert ends["done"] == 1
    assert set(ends) <= {"done", "LinkRefused", "Overloaded"}
    assert (await office.owner()).version == 2


async def test_nobody_is_told_who_is_a_member(office: Office):
    told = [
        await members.ask_reset(office.world, OWNER.email),  # type: ignore[func-returns-value]  # the point
        await members.ask_reset(office.world, "nobody@luckyshrub.example"),  # type: ignore[func-returns-value]  # the point
    ]

    assert told == [None, None]
    assert await office.letters() == [OWNER.email]


async def test_asked_ten_times_in_a_minute_one_link_is_mailed(office: Office):
    for _ in range(10):
        await members.ask_reset(office.world, OWNER.email)
    mailed = await office.letters()
    office.scene.pass_time(60)
    await members.ask_reset(office.world, OWNER.email)

    assert mailed == [OWNER.email]
    assert len(await office.letters()) == 2


async def test_only_the_newest_reset_link_is_good(office: Office):
    first = await members.reset_token(office.world, OWNER.email)
    second = await members.reset_token(office.world, OWNER.email)

    assert await outcome(members.follow_reset(office.world, first, NEW, AGENT)) == "LinkRefused"
    assert await outcome(members.follow_reset(office.world, second, NEW, AGENT)) == "done"


async def test_a_reset_link_is_good_for_thirty_minutes(office: Office):
    token = await members.reset_token(office.world, OWNER.email)

    office.scene.pass_time(1_800)

    with pytest.raises(LinkRefused):
        await members.follow_reset(office.world, token, NEW, AGENT)


async def test_a_bad_password_leaves_the_reset_link_good(office: Office):
    token = await members.reset_token(office.world, OWNER.email)

    with pytest.raises(ParameterInvalid):
        await members.follow_reset(office.world, token, COMMON, AGENT)

    await members.follow_reset(office.world, token, NEW, AGENT)


async def test_a_reset_link_that_was_touched_is_refused(office: Office):
    token = await members.reset_token(office.world, OWNER.email)
    id_, _, secret = token.partition(".")
    thief = office.neighbour.id

    for link in (
        "", ".", id_, f"{id_}.", f".{secret}", secret, f"{id_}.{secret}x", f"{id_}.{secret[:-1]}",
        f"{thief}.{secret}", token.upper(), token + "\x00", f"{id_}..{secret}", f" {token}",
        f"{id_}.{'x' * 10_000}", "nobody." + secret,
    ):  # fmt: skip
        assert await outcome(members.follow_reset(office.world, link, NEW, AGENT)) == "LinkRefused"

    await members.follow_reset(office.world, token, NEW, AGENT)


async def test_the_reset_link_of_a_member_who_is_removed_meanwhile_is_refused(office: Office):
    anna = await office.add("anna", ADMIN)
    token = await members.reset_token(office.world, ANNA)

    async def remove() -> None:
        await members.remove(office.world, await office.owner(), anna.id)

    world = office.other_world(hasher=WatchedHasher(office.world.hasher, before_make=remove))
    with pytest.raises(LinkRefused):
        await members.follow_reset(world, token, NEW, AGENT)


async def test_for_nobody_there_is_no_reset_link(office: Office):
    with pytest.raises(MemberUnknown):
        await members.reset_token(office.world, "nobody@luckyshrub.example")
    with pytest.raises(MemberUnknown):
        await members.drop_app(office.world, "nobody@luckyshrub.example")


async def test_a_password_that_was_changed_voids_the_reset_link(office: Office):
    token = await members.reset_token(office.world, OWNER.email)
    await members.change_password(
        office.world, await office.owner(), office.begun.session, OWNER.password, NEW
    )

    with pytest.raises(LinkRefused):
        await members.follow_reset(office.world, token, "Another-Pass-3", AGENT)


async def test_a_password_that_was_changed_voids_the_mailed_turn_off_link(office: Office):
    await office.owner_is_protected()
    await two_step.ask_to_turn_off(office.world, await office.owner(), await office.number())
    token = await office.link("post@luckyshrub.example", Letter.TURN_OFF_LINK)
    await members.change_password(
        office.world, await office.owner(), office.begun.session, OWNER.password, NEW
    )

    with pytest.raises(LinkRefused):
        await two_step.follow_link(office.world, await office.owner(), token)

    assert (await office.number()).two_step.is_on


# Authenticator apps


async def test_an_app_is_turned_on_with_a_code_and_the_password_and_ends_other_sessions(
    office: Office,
):
    other = await office.sign_in()

    codes = await office.turn_app_on()

    app = (await office.owner()).app
    assert app is not None
    assert len(set(codes)) == len(app.recovery) == 10
    assert all(len(code) == 19 and code.count("-") == 3 for code in codes)
    assert await outcome(whose(office.world, other.token)) == "SignedOut"
    await whose(office.world, office.begun.token)
    assert (await office.kinds())[-1] == "member.authenticator_on"


async def test_the_key_of_an_app_and_its_recovery_codes_are_in_no_row(office: Office):
    owner = await office.owner()
    new = members.begin_app(office.world, owner)
    code = office.codes.code_at(office.world.clock.now())
    codes = await members.turn_app_on(
        office.world, owner, office.begun.session, new.sealed, code, OWNER.password
    )

    app = (await office.owner()).app
    key = bytes.fromhex(new.address.partition("secret=")[2])
    assert app is not None
    assert len(key) == 20
    assert key not in app.sealed
    assert office.world.keys.unseal(app.sealed, f"app|v1|{owner.id}") == key
    assert not any(one in repr(app) for one in codes)


@pytest.mark.parametrize("code", ["000000", "", "abc", "١٢٣٤٥٦"])
async def test_with_a_wrong_code_the_app_stays_off_and_the_key_can_be_shown_again(
    office: Office, code
):
    owner = await office.owner()
    new = members.begin_app(office.world, owner)

    with pytest.raises(AppCodeRefused):
        await members.turn_app_on(
            office.world, owner, office.begun.session, new.sealed, code, OWNER.password
        )

    assert (await office.owner()).app is None
    assert members.again(office.world, owner, new.sealed) == new


async def test_with_a_wrong_password_the_app_stays_off(office: Office):
    owner = await office.owner()
    new = members.begin_app(office.world, owner)
    code = office.codes.code_at(office.world.clock.now())

    with pytest.raises(SignInRefused):
        await members.turn_app_on(
            office.world, owner, office.begun.session, new.sealed, code, "Thieves-guess-1"
        )

    assert (await office.owner()).app is None


async def test_the_key_of_somebody_else_is_not_taken(office: Office):
    owner = await office.owner()
    thiefs = members.begin_app(office.world, office.neighbour)
    code = office.codes.code_at(office.world.clock.now())

    for sealed in (thiefs.sealed, "", "x", "é", "AAAA", thiefs.sealed[:-4]):
        with pytest.raises(AppCodeRefused):
            members.again(office.world, owner, sealed)
        with pytest.raises(AppCodeRefused):
            await members.turn_app_on(
                office.world, owner, office.begun.session, sealed, code, OWNER.password
            )


async def test_a_second_app_takes_no_place(office: Office):
    await office.turn_app_on()
    before = (await office.owner()).app

    with pytest.raises(AppAlreadyOn):
        await office.turn_app_on()

    assert (await office.owner()).app == before


async def test_the_app_is_turned_off_with_the_password(office: Office):
    await office.turn_app_on()
    owner = await office.owner()

    with pytest.raises(SignInRefused):
        await members.turn_app_off(office.world, owner, "Thieves-guess-1")
    still_on = (await office.owner()).app
    await members.turn_app_off(office.world, owner, OWNER.password)

    assert still_on is not None
    assert (await office.owner()).app is None
    assert (await office.sign_in()).session.whole


async def test_who_lost_everything_is_helped_by_the_command_line(office: Office):
    await office.turn_app_on()

    await members.drop_app(office.world, OWNER.email)

    assert (await office.sign_in()).session.whole
    trail = [link.event async for link in office.world.store.audit(f"portfolio:{office.portfolio}")]
    off = [event for event in trail if event.kind.value == "member.authenticator_off"]
    assert [(event.by, event.details) for event in off] == [
        ("operator", (("member", OWNER.email),))
    ]


async def test_a_reset_does_not_step_over_the_app(office: Office):
    await office.turn_app_on()
    token = await members.reset_token(office.world, OWNER.email)

    begun = await members.follow_reset(office.world, token, NEW, AGENT)

    assert not (await whose(office.world, begun.token))[0].whole


async def test_an_app_that_is_turned_on_while_a_reset_runs_is_asked_for(office: Office):
    token = await members.reset_token(office.world, OWNER.email)
    hasher = WatchedHasher(office.world.hasher)

    async def turn_on() -> None:
        hasher.before_make = WatchedHasher(hasher).before_make
        await office.turn_app_on()

    hasher.before_make = turn_on
    with pytest.raises(SignInRefused):
        await members.follow_reset(replace(office.world, hasher=hasher), token, NEW, AGENT)

    assert await outcome(office.sign_in(password=NEW)) == "SignInRefused"


async def test_everything_a_member_did_is_on_the_portfolios_trail_and_holds_no_secret(
    office: Office,
):
    token = await invited(office)
    await join(office, token)
    codes = await office.turn_app_on()

    trail = [link.event async for link in office.world.store.audit(f"portfolio:{office.portfolio}")]

    told = repr(trail)
    for secret in (OWNER.password, NEW, token, *codes, office.begun.token):
        assert secret not in told
    assert {event.place for event in trail} == {"192.0.2.7"}
