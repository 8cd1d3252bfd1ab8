"""The vault: PINs of numbers at the Cloud API, shown to nobody but owners, and set anew."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from nightlatch.domain import linked
from nightlatch.domain.audit import OPERATOR
from nightlatch.domain.errors import CloudAccessLost, CloudCallsSpent, CloudUnreached, Refusal
from nightlatch.domain.linked import LinkedNumber
from nightlatch.domain.links import CloudLink
from nightlatch.domain.members import Member, MemberRole
from nightlatch.ports import World
from nightlatch.usecases import bridge
from nightlatch.usecases.links import link_of, read_number
from nightlatch.usecases.signing_in import confirm_password
from nightlatch.usecases.two_step import suggest_pin

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Revealed:
    """What the vault holds of one number."""

    pin: str | None
    """The one that Meta took last; None when none is known."""
    maybe: tuple[str, ...]
    """Those that Meta may have taken since, oldest first."""
    doubted: bool
    """Whether somebody may have set another one at Meta."""


async def reveal(world: World, number: LinkedNumber, by: str = OPERATOR) -> Revealed:
    """The PINs, with a row in the audit trail before anybody sees them.

    Raises:
        PinNotInVault: there is none.
        Unavailable: the key ring lacks the key.
    """
    now = world.clock.now()
    kept = await world.update_linked(number.id, lambda n: linked.reveal(n, by, now))
    vault = kept.vault
    return Revealed(
        None if vault.current is None else bridge.unsealed(world, number, vault.current.sealed),
        tuple(dict.fromkeys(bridge.unsealed(world, number, pin.sealed) for pin in vault.maybe)),
        vault.doubted,
    )


async def reveal_by_member(
    world: World, member: Member, password: str, number: LinkedNumber
) -> Revealed:
    """``reveal`` to an owner, whose password is asked for again.

    Raises:
        RoleTooLow, SignInRefused, SignInWait: nothing was shown.
    """
    member.refuse_below(MemberRole.OWNER)
    await confirm_password(world, member, password)
    return await reveal(world, number, member.email)


async def keep(world: World, number: LinkedNumber, pin: str, by: str = OPERATOR) -> LinkedNumber:
    """Somebody says what the number's PIN is; Meta is not asked, since a wrong one would count.

    Raises OutcomeUnknown.
    """
    kept, now = bridge.keep(world, number, pin), world.clock.now()
    return await world.update_linked(number.id, lambda n: linked.keep_pin(n, kept, by, now))


async def rotate(
    world: World, number: LinkedNumber, by: str = OPERATOR, pin: str | None = None
) -> LinkedNumber:
    """Another PIN at Meta: the given one, or one drawn by chance. Raises as ``bridge.attempt``."""
    one = await link_of(world, number)
    return await bridge.set_pin(world, one, number, pin or suggest_pin(world), by)


@dataclass(frozen=True, slots=True)
class Rotated:
    """One number of many."""

    number: LinkedNumber
    refusal: Refusal | None
    """Why it kept its PIN; None when it has another one."""

    @property
    def stops(self) -> bool:
        """Whether the others would be refused, too."""
        return isinstance(self.refusal, CloudUnreached | CloudAccessLost | CloudCallsSpent)


async def left_to_rotate(world: World, one: CloudLink, older_than: datetime) -> int:
    """How many numbers ``rotate_many`` would try."""
    after, left = "", 0
    while page := await world.store.linked_numbers(one.waba, after):
        left += sum(_has_older(number, older_than) for number in page)
        after = page[-1].e164
    return left


async def rotate_many(
    world: World, one: CloudLink, by: str = OPERATOR, *, older_than: datetime, after: str = ""
) -> AsyncGenerator[Rotated, None]:
    """Another PIN for every registered number of an account whose PIN is older.

    Called again with the same time it goes on where it stopped; behind *after*, an E.164 number,
    when that is given, so that numbers which kept their PIN are not tried again. It ends at the
    first number for which Meta cannot be reached or wants no more calls; that one is told of.
    """
    while page := await world.store.linked_numbers(one.waba, after, _AT_ONCE):
        for listed in page:
            after = listed.e164
            number = await world.store.linked(listed.id)  # another rotation may run beside this one
            if number is None or not _has_older(number, older_than):
                continue
            told = Rotated(number, await _rotated(world, one, number, by))
            yield told
            if told.stops:
                return


def _has_older(number: LinkedNumber, than: datetime) -> bool:
    """Whether the number is registered, with a PIN from before, or none that is known."""
    current = number.vault.current
    fresh = number.vault.is_good and current is not None and current.at >= than
    return bool(number.facts.registered) and not fresh


async def _rotated(world: World, one: CloudLink, number: LinkedNumber, by: str) -> Refusal | None:
    try:
        if number.under_way is not None:
            number = await read_number(world, one, number)
        await bridge.set_pin(world, one, number, suggest_pin(world), by, patient=True)
    except Refusal as refusal:
        return refusal
    return None
