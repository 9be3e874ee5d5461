"""Becomes another program that ends when its parent does: `python child.py PARENT_PID SIGNAL UID GID -- PROGRAM …`.

A supervisor that is killed can't stop its children; the kernel does it then. Changing the user would undo that, so the user is changed here, first.
Standard library only, and run without site-packages: this is start-up time of every child.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change the user if asked to, tie this process to its parent, and become the program."""
    parent, signal_number, uid, gid = (int(argument) for argument in sys.argv[1:5])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)
    program = sys.argv[6:]
    os.execv(program[0], program)


main()
