"""``/v1/health`` and the metrics."""

from nightlatch.domain.errors import ParameterInvalid
from nightlatch.faces.metrics import Metrics
from nightlatch.faces.onprem.wire import Answer, Call, Handler, with_meta
from nightlatch.usecases.networks import gateway_status


async def health(call: Call) -> Answer:
    status = await gateway_status(call.world, call.client)
    return Answer(200, with_meta({"health": {"gateway_status": status}}))


def metrics_of(metrics: Metrics) -> Handler:
    """The handler that shows *metrics*."""

    async def show(call: Call) -> Answer:
        wanted = call.query.get("format", "json")
        await metrics.read()
        if wanted == "prometheus":
            return Answer(200, {}, text=metrics.as_text())
        if wanted != "json":
            raise ParameterInvalid("format", "`json` or `prometheus`")
        return Answer(200, with_meta({"metrics": metrics.as_json()}))

    return show
