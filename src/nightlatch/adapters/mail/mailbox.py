"""The embedded mailbox: where letters end while no mail server is configured."""

from nightlatch.domain.mail import Posted
from nightlatch.ports import Rendered


class MailboxSender:
    """The ``MailSender`` port without a mail server; the store's own row is the letter."""

    keeps = True

    async def send(self, posted: Posted, letter: Rendered) -> None:
        """Nothing to bring anywhere: the row stays, and pages and commands show it."""
