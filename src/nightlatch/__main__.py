"""The command ``nightlatch``."""

from nightlatch import bootstrap, logs
from nightlatch.faces.cli.commands import Parts, cli


def main() -> None:
    """Run the command line with the real parts."""
    cli(
        obj=Parts(
            bootstrap.open_house,
            bootstrap.set_up,
            bootstrap.serve,
            logs.configure,
            bootstrap.StartRefused,
            bootstrap.throw_away,
        )
    )


if __name__ == "__main__":
    main()
