"""``/v1/account``: registering the number and setting shards."""

from nightlatch.faces.onprem.wire import Answer, Call, with_meta
from nightlatch.faces.spelling import spell
from nightlatch.usecases import networks, registration


async def request_code(call: Call) -> Answer:
    fields = call.fields
    e164, cc = spell(fields["cc"], fields["phone_number"])
    sent = await networks.request_code(
        call.world, call.who.user, e164, cc, fields["method"], fields["cert"], fields.get("pin")
    )
    if sent is None:
        return Answer(201, with_meta())
    return Answer(202, with_meta({"account": [{"vname": sent.vname}]}))


async def verify(call: Call) -> Answer:
    await networks.enter_code(call.world, call.who.user, call.fields["code"])
    return Answer(201, with_meta())


async def read_shards(call: Call) -> Answer:
    shards = await registration.shards(call.world, call.who.user)
    return Answer(200, with_meta({"account": {"shards": shards}}))


async def set_shards(call: Call) -> Answer:
    fields = call.fields
    e164, _ = spell(fields["cc"], fields["phone_number"])
    await networks.set_shards(
        call.world,
        call.who.user,
        e164,
        fields["shards"],
        fields.get("cert"),
        fields.get("pin"),
    )
    return Answer(201, with_meta())
