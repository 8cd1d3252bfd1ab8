"""The command ``nightlatch``."""

from nightlatch import bootstrap, logs, moving, workers
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
            bootstrap.migrate_database,
            workers.serve_many,
            move=moving.move,
            give_up=moving.give_up,
        )
    )


if __name__ == "__main__":
    main()
