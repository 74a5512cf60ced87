"""`python -m kelvin` is the command `kelvin`.

It imports nothing before it listens: Ctrl-C is one line at any moment.
"""

import sys


def main() -> None:
    try:
        from kelvin.common import signals

        signals.catch()
        from kelvin import cli

        cli.main()
    except (KeyboardInterrupt, SystemExit) as end:
        from kelvin.common import signals

        # typer ends silently where it is interrupted itself
        if isinstance(end, SystemExit) and not signals.is_unheard():
            raise
        signals.heard()
        print("\nStopped.")
        sys.exit(signals.status())


if __name__ == "__main__":  # a stage's process imports this module too
    main()
