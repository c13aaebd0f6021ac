"""Starts the two servers of a grader: one process imports the libraries, and forks the other.

The worker pool starts it as `python -m dojo.grading.sandbox.servers`, with the number of a socket.
The host server is forked before pytest is imported, and before anything is known of the specs.
"""

import os
import socket
import sys

from dojo.grading.sandbox import host_server


def main() -> int:
    """Serve at the socket whose number is the first argument."""
    source = socket.socket(fileno=int(sys.argv[1]))
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        code = 70
        try:
            ours.close()
            source.close()
            code = host_server.serve(theirs)
        finally:
            os._exit(code)
    theirs.close()
    from dojo.grading.sandbox import fork_server

    return fork_server.start(source, ours)


if __name__ == "__main__":
    sys.exit(main())
