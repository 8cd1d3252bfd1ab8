"""``health_status``: whether messages could be sent, and what stands in the way.

Entities go from the object that was asked for up to the app, as Graph lists them.
Source: Meta, support/health-status.
"""

from typing import Any, Final

from nightlatch.domain.access import GraphApp
from nightlatch.domain.numbers import CLOUD_API, Number
from nightlatch.domain.portfolios import Portfolio, Waba

_ORDER: Final = ("AVAILABLE", "LIMITED", "BLOCKED")
_NOT_REGISTERED: Final = {
    "error_code": 141000,
    "error_description": "The phone number is not registered with the Cloud API.",
    "possible_solution": "Register the phone number before sending messages.",
}
_NAME_WAITS: Final = (
    "Your display name has not been approved yet. Your message limit will increase after the"
    " display name is approved."
)


def of_number(number: Number, waba: Waba | None, app: GraphApp) -> dict[str, Any]:
    above = [] if waba is None else [_entity("WABA", waba.id), _entity("BUSINESS", waba.portfolio)]
    return _status([_number(number), *above, _entity("APP", app.id)])


def of_waba(waba: Waba, app: GraphApp) -> dict[str, Any]:
    return _status(
        [_entity("WABA", waba.id), _entity("BUSINESS", waba.portfolio), _entity("APP", app.id)]
    )


def of_portfolio(portfolio: Portfolio, app: GraphApp) -> dict[str, Any]:
    return _status([_entity("BUSINESS", portfolio.id), _entity("APP", app.id)])


def of_app(app: GraphApp) -> dict[str, Any]:
    return _status([_entity("APP", app.id)])


def _number(number: Number) -> dict[str, Any]:
    if number.holder != CLOUD_API:
        return _entity("PHONE_NUMBER", number.id, "BLOCKED", errors=[_NOT_REGISTERED])
    if not number.name:
        return _entity("PHONE_NUMBER", number.id, "LIMITED", additional_info=[_NAME_WAITS])
    return _entity("PHONE_NUMBER", number.id)


def _entity(kind: str, id: str, can_send: str = "AVAILABLE", **more: Any) -> dict[str, Any]:
    return {"entity_type": kind, "id": id, "can_send_message": can_send, **more}


def _status(entities: list[dict[str, Any]]) -> dict[str, Any]:
    worst = max((one["can_send_message"] for one in entities), key=_ORDER.index)
    return {"can_send_message": worst, "entities": entities}
