"""The vault: the PINs of a number that lives at the Cloud API, sealed.

A PIN is kept before it is sent and confirmed afterwards, so that there is
never one at Meta that is not here.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from nightlatch.domain.limits import PINS_KEPT


@dataclass(frozen=True, slots=True)
class KeptPin:
    """One PIN."""

    key: str
    """Of the attempt it was sent with."""
    sealed: bytes
    """The PIN, sealed and bound to the number; opaque here."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Vault:
    """What is known of the PINs of one number."""

    current: KeptPin | None = None
    """The one that Meta took last, as far as is known."""
    maybe: tuple[KeptPin, ...] = ()
    """Those that were sent, or are about to be, and of which nobody knows whether Meta took
    them: first those that were only claimed, latest first; then those that were set, oldest
    first."""
    confirmed_at: datetime | None = None
    """When Meta showed that a PIN is on, after ``current`` was set."""
    doubted: bool = False
    """Whether Meta may have another PIN than ``current``: set by somebody else, or an older one
    of ours."""

    @property
    def is_good(self) -> bool:
        """Whether ``current`` is what Meta would take."""
        return self.current is not None and not self.doubted and not self.maybe

    def find(self, key: str) -> KeptPin | None:
        """A PIN by the key of its attempt."""
        kept = (*self.maybe, *(() if self.current is None else (self.current,)))
        return next((pin for pin in kept if pin.key == key), None)

    @property
    def is_full(self) -> bool:
        """Whether no other PIN may be sent: any that were left out for it could be Meta's."""
        return len(self.maybe) >= PINS_KEPT

    @property
    def to_set_again(self) -> KeptPin | None:
        """The one to set when Meta may have none, or may have taken the latest or not.

        While there is a doubt that is the one that Meta is known to have had; and never one
        that was only claimed, which would make a wrong one right.
        """
        return self.maybe[-1] if self.maybe and not self.doubted else self.current

    def keep(self, pin: KeptPin, *, claimed: bool = False) -> "Vault":
        """Before it is sent. *claimed* is one that a registration brings: Meta compares it when
        it has one."""
        maybe = (pin, *self.maybe) if claimed else (*self.maybe, pin)
        return replace(self, maybe=maybe)

    def drop(self, key: str | None) -> "Vault":
        """Meta answered that it did not take it, or it was never sent."""
        return replace(self, maybe=tuple(pin for pin in self.maybe if pin.key != key))

    def settle(self, key: str) -> "Vault":
        """Meta took this one, so every other is worthless."""
        pin = self.find(key)
        return self if pin is None else Vault(current=pin)

    def settle_unheard(self, key: str) -> "Vault":
        """Meta shows that it took this one, and gave no answer: whichever else it could have
        instead stays, and leaves a doubt."""
        pin = self.find(key)
        kept = (*self.maybe, *(() if self.current is None else (self.current,)))
        others = tuple(other for other in kept if other.key != key)
        return self if pin is None else Vault(pin, others, doubted=bool(others))

    def confirm(self, now: datetime) -> "Vault":
        """Meta shows that a PIN is on."""
        return replace(self, confirmed_at=now)

    def doubt(self) -> "Vault":
        """Somebody may have set another PIN, or turned two-step verification off."""
        return self if self.current is None else replace(self, doubted=True)
