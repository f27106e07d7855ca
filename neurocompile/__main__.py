"""Where the command starts: ``neurocompile``, or ``python -m neurocompile``."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit; Ctrl-C ends it quietly from the first import on."""
    try:
        from neurocompile.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
