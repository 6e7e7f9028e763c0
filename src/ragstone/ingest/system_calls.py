"""A filter on system calls that a parser process puts on itself for good (Linux, x86-64 and ARM64).

Needs no privilege, unlike a network namespace: a process may always take rights from itself. What is denied
fails with "operation not permitted"; see seccomp(2) and the kernel's Documentation/userspace-api.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_FAIL = 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SECOND_TABLE = 0x40000000
"""Numbers from here on are those of x32 on x86-64; nothing here uses them."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """The kernel's name of an architecture, and the calls that are denied on it."""

    code: int
    denied: Sequence[int]
    opening: Mapping[int, int]
    """Calls that open files, and which argument holds their flags."""
    signalling: Sequence[int]
    """Calls that send signals to the process that the first argument names."""


# Sockets and connections; starting programs; looking into or changing other processes; asynchronous calls
# that would go around this filter; making, renaming, linking and removing files; mounts, keys and modules.
_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(
        0xC000003E,
        (
            41, 42, 43, 49, 50, 288, 59, 322, 57, 58, 101, 129, 297, 272, 308, 310, 311, 424,
            438, 425, 426, 427, 437,
            76, 77, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94, 133, 258, 259, 260, 263, 264, 265,
            266, 268, 316, 188, 189, 190, 161, 165, 166, 155, 175, 313, 246, 248, 249, 250, 298, 321, 323,
        ),
        {2: 1, 257: 2},
        (62, 200, 234),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        (
            198, 203, 202, 200, 201, 242, 221, 281, 117, 138, 240, 97, 268, 270, 271, 424,
            438, 425, 426, 427, 437,
            45, 46, 33, 34, 35, 36, 37, 38, 276, 52, 53, 54, 55, 5, 6, 7, 51, 40, 39, 41, 105, 273, 104,
            217, 218, 219, 241, 280, 282,
        ),
        {56: 2},
        (129, 130, 131),
    ),
}  # fmt: skip


def filter_system_calls() -> bool:
    """Deny this process and all its threads what no parser needs; whether the kernel took the filter.

    The caller must have given up new privileges (PR_SET_NO_NEW_PRIVS) or be root.
    """
    machine = _MACHINES.get(os.uname().machine)
    if sys.platform != "linux" or machine is None or struct.calcsize("P") != 8:
        return False
    program = b"".join(_program(machine))
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count of 16 bits, then, aligned, a pointer.
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    header = ctypes.create_string_buffer(described, len(described))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0) == 0)


def _program(machine: _Machine) -> Iterator[bytes]:
    """The filter: denied by number, opened for reading only, signals to this process only."""
    yield _step(_LOAD, _ARCHITECTURE_AT)
    yield _step(_JUMP_EQUAL, machine.code, 1, 0)
    yield _step(_RETURN, _FAIL | errno.EPERM)
    yield _step(_LOAD, _NUMBER_AT)
    yield _step(_JUMP_GREATER_EQUAL, _SECOND_TABLE, 0, 1)
    yield _step(_RETURN, _FAIL | errno.EPERM)
    for number in machine.denied:
        yield _step(_JUMP_EQUAL, number, 0, 1)
        yield _step(_RETURN, _FAIL | errno.EPERM)
    for number, argument in machine.opening.items():
        yield _step(_JUMP_EQUAL, number, 0, 4)
        yield _step(_LOAD, _ARGUMENTS_AT + 8 * argument)
        yield _step(_JUMP_ANY_BIT, _WRITING, 0, 1)
        yield _step(_RETURN, _FAIL | errno.EPERM)
        yield _step(_RETURN, _ALLOW)
    for number in machine.signalling:
        yield _step(_JUMP_EQUAL, number, 0, 4)
        yield _step(_LOAD, _ARGUMENTS_AT)
        yield _step(_JUMP_EQUAL, os.getpid(), 1, 0)
        yield _step(_RETURN, _FAIL | errno.EPERM)
        yield _step(_RETURN, _ALLOW)
    yield _step(_RETURN, _ALLOW)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction of classic BPF; jumps count the instructions passed over."""
    return struct.pack("HBBI", code, if_true, if_false, value)
