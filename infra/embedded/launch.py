"""Become another program that the kernel ends when the parent process dies, however that dies.

Run as a script (`python -IS launch.py PARENT SIGNAL UID COMMAND...`), so that no Python runs between fork and exec in a
process that has threads. As root it takes on another user for PostgreSQL, which refuses root, but keeps the right to
read root's folders.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522

LIBC = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    """struct __user_cap_header_struct."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """struct __user_cap_data_struct."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become(uid: int) -> None:
    """Take on a user and its group, without further groups, keeping one capability: to read what root may read.

    Reading alone is enough (CAP_DAC_READ_SEARCH); a container that withholds it mostly grants CAP_DAC_OVERRIDE. Where
    neither is to be had the server sees what its user sees.
    """
    LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    group = pwd.getpwuid(uid).pw_gid
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(uid, uid, uid)
    any(_keep(capability) for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE))


def _keep(capability: int) -> bool:
    """Reduce the capabilities to one that outlives exec; False where the process does not have it."""
    bits = 1 << capability
    sets = (_Sets * 2)(_Sets(bits, bits, bits), _Sets(0, 0, 0))
    if LIBC.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets) != 0:
        return False
    return bool(LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0)


def main(words: list[str]) -> None:
    """Set the death signal and become the command. words : parent pid, signal number, uid, command."""
    parent, signal_number, uid, command = int(words[0]), int(words[1]), int(words[2]), words[3:]
    if uid != os.geteuid():
        become(uid)
    # After the change of user, which clears it; and then the parent may already have died.
    LIBC.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606 - the command is built by the supervisor


if __name__ == "__main__":
    main(sys.argv[1:])
