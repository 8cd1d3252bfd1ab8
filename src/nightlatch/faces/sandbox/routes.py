"""Every path of the sandbox: the whole table."""

from typing import Final

from nightlatch.faces.sandbox import arrivals, clock, faults, numbers
from nightlatch.faces.sandbox.wire import Route

ROUTES: Final = (
    Route("GET", "/handset/{number}", arrivals.handset),
    Route("GET", "/mail", arrivals.mail, query=("portfolio",)),
    Route("GET", "/webhooks", arrivals.deliveries, query=("portfolio",)),
    Route("GET", "/clock", clock.show),
    Route("POST", "/clock", clock.step, ("seconds",)),
    Route("GET", "/numbers/{number}", numbers.show),
    Route("POST", "/numbers/{number}/name", numbers.decide_name, ("decision",)),
    Route("POST", "/numbers/{number}/press", numbers.press, ("button", "pin", "current_pin")),
    Route("GET", "/faults", faults.listed),
    Route("POST", "/faults", faults.add, ("fault", "number", "edge", "times", "seconds")),
    Route("DELETE", "/faults", faults.clear),
)
