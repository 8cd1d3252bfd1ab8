"""What arrived: codes on the phone, letters in the mailbox, webhooks at the apps."""

import json
from collections.abc import Mapping
from typing import Any, Final

from nightlatch.domain.webhooks import Delivery
from nightlatch.faces.sandbox.wire import Call
from nightlatch.usecases import sandbox, webhooks

_DELIVERIES: Final = 100


async def handset(call: Call) -> Mapping[str, Any]:
    """Codes that are still good, newest first."""
    number = await sandbox.find_number(call.world, call.path["number"])
    return {
        "handset": [
            {
                "code": received.code,
                "method": received.method,
                "received_at": received.received_at.isoformat(),
                "expires_at": received.expires_at.isoformat(),
            }
            for received in await sandbox.handset(call.world, number)
        ]
    }


async def mail(call: Call) -> Mapping[str, Any]:
    """Letters as their readers see them, newest first."""
    portfolio = await sandbox.portfolio_id(call.world, call.query.get("portfolio"))
    return {
        "mail": [
            {
                "to": posted.address,
                "letter": posted.letter.value,
                "posted_at": posted.posted_at.isoformat(),
                "state": posted.state.value,
                "subject": letter.subject,
                "text": letter.text,
                "link": letter.link,
            }
            for posted, letter in await sandbox.letters(call.world, portfolio)
        ]
    }


async def deliveries(call: Call) -> Mapping[str, Any]:
    """Webhooks, newest first, each with the payload it has when it travels alone."""
    portfolio = await sandbox.portfolio_id(call.world, call.query.get("portfolio"))
    found = await webhooks.latest(call.world, portfolio, _DELIVERIES)
    return {"webhooks": [_shown(delivery) for delivery in found]}


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {
        "app": delivery.app,
        "field": delivery.field.value,
        "state": delivery.state.value,
        "at": delivery.at.isoformat(),
        "attempts": delivery.attempts,
        "status": delivery.status,
        "fault": delivery.fault,
        "payload": json.loads(webhooks.payload([delivery])),
    }
