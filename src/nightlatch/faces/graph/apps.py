"""An app: where its webhooks go."""

from typing import Any, Final

from nightlatch.domain.errors import ParameterInvalid, ParameterUnexpected
from nightlatch.domain.webhooks import Field
from nightlatch.faces.graph.wire import SUCCESS, Answer, Call, words
from nightlatch.usecases import webhooks

KNOWN: Final = (
    "account_alerts", "account_review_update", "account_update", "automatic_events",
    "business_capability_update", "flows", "history", "message_template_components_update",
    "message_template_quality_update", "message_template_status_update", "messages",
    "partner_solutions", "payment_configuration_update", "phone_number_name_update",
    "phone_number_quality_update", "security", "smb_app_state_sync", "smb_message_echoes",
    "template_category_update", "user_preferences",
)  # fmt: skip
"""What Meta documents. Of those that are no ``Field`` nothing is ever told."""


async def subscriptions(call: Call) -> Answer:
    callback = call.caller.app.callback
    if callback is None:
        return {"data": []}
    fields = [
        {"name": one.value, "version": call.version.name} for one in Field if one in callback.fields
    ]
    told = {"object": webhooks.OBJECT, "callback_url": callback.url, "active": True}
    return {"data": [{**told, "fields": fields}]}


async def subscribe(call: Call) -> Answer:
    """Without ``fields`` those stay that are told of now; at first that is all of them."""
    app, given = call.caller.app, call.given
    fields = given.get("fields")
    if fields is None:
        fields = tuple(Field) if app.callback is None else app.callback.fields
    await webhooks.set_callback(
        call.world, app, given["callback_url"], given["verify_token"], fields, call.by
    )
    return SUCCESS


async def unsubscribe(call: Call) -> Answer:
    if "fields" in call.given:
        raise ParameterUnexpected("fields", "leave it out, or subscribe to the others anew")
    await webhooks.remove_callback(call.world, call.caller.app, call.by)
    return SUCCESS


def read_fields(value: Any) -> tuple[Field, ...]:
    names = words("fields")(value)
    if not set(names) <= set(KNOWN):
        raise ParameterInvalid("fields", f"of {{{', '.join(KNOWN)}}}")
    return tuple(one for one in Field if one.value in names)
