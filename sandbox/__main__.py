"""`python -m sandbox`: see `sandbox.main`."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends it without a traceback while what it is made of is imported, which takes a second.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sandbox.main import main

    sys.exit(main(sys.argv[1:]))
