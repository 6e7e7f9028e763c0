"""The walls a parser process builds around itself before it reads a byte of anyone's file (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Literal

from ragstone.ingest.extraction import Walls
from ragstone.ingest.system_calls import filter_system_calls

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_MAX_FILE_BYTES = 64 * 2**20
_MAX_OPEN_FILES = 64


def stand_behind_walls(memory_bytes: int, parent_id: int) -> Walls:
    """Put up every wall that this machine allows, for good, and say which they are.

    To be called before any thread starts and any library of a parser is imported.
    """
    die_with_parent(parent_id)
    network = leave_network()
    limit_resources(memory_bytes)
    return Walls(network, memory_bytes, "filtered" if filter_system_calls() else "open")


def allow_cpu_time(seconds: float) -> None:
    """Have the kernel end this process when it has computed for so long from now.

    A second clock beside the parent's, for when the parent is held up itself.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 1, hard))


def die_with_parent(parent_id: int) -> None:
    """Have the kernel kill this process when its parent ends, however the parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != parent_id:
        os._exit(0)  # it ended before the line above


def limit_resources(memory_bytes: int) -> None:
    """Cap address space, written files, open files and core dumps for good."""
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, _MAX_FILE_BYTES),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (allowed, allowed))


def leave_network() -> Literal["own namespace", "open"]:
    """Move into an empty network namespace, where not even loopback is up.

    Needs root or unprivileged user namespaces, and a process that has started no thread yet. Where the
    kernel refuses, the network stays reachable and the return value says so; proxies are out of the
    environment either way.
    """
    if sys.platform != "linux":
        return "open"
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return "own namespace"
    return "open"


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
