"""Letters that say nothing but what they were given."""

from nightlatch.domain.mail import Posted
from nightlatch.ports import Rendered


class BareLetters:
    """The link is the bare token, so that a test can follow it."""

    def write(self, posted: Posted, token: str | None) -> Rendered:
        return Rendered(posted.letter.value, "text", "html", token)
