"""Run by privacyIDEA's own interpreter: sets its database up, with tokens that are a PIN only."""

import sys

from privacyidea.app import create_app  # type: ignore[import-not-found]  # it has its own environment
from privacyidea.lib.token import init_token  # type: ignore[import-not-found]  # it has its own environment
from privacyidea.models import db  # type: ignore[import-not-found]  # it has its own environment

PIN = "271828"


def main(config: str, count: int) -> None:
    app = create_app(config_name="production", config_file=config, silent=True)
    with app.app_context():
        db.create_all()
        for n in range(count):
            init_token({"type": "spass", "serial": f"PIN{n}", "pin": PIN})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
