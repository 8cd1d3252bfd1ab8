"""Mail: writing letters, and bringing them to a mail server or to the embedded mailbox.

``letters`` has one function and two templates for each letter. Which letters there are, who
gets them and when they are tried again is decided in ``domain/mail.py``.
"""

from nightlatch.adapters.mail.letters import PaperLetters
from nightlatch.adapters.mail.mailbox import MailboxSender
from nightlatch.adapters.mail.smtp import SmtpSender

__all__ = ["MailboxSender", "PaperLetters", "SmtpSender"]
