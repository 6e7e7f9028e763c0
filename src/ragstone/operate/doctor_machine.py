"""What the machine gives: versions that fit together, memory, disk, the home folder, the port."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ragstone.config import Loaded
from ragstone.errors import RagstoneError
from ragstone.home import Home, open_home, read_server_url
from ragstone.operate.findings import Finding, FindingStatus
from ragstone.operate.versions import main_versions, version_of

LEAST_FREE_BYTES = 2**30
LEAST_MEMORY_BYTES = 512 * 2**20
LEAST_OPEN_FILES = 1024
SHOWN_PROBLEMS = 3
LEAST_SQLITE = (3, 35, 0)
"""The first with RETURNING."""
SAFE_SQLITE = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The first of each line in which two checkpoints at once are safe (www.sqlite.org/wal.html)."""
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs"})
SAME_MODULE = ("onnxruntime", "onnxruntime-gpu")


def look_at_versions() -> list[Finding]:
    """Versions, and those that do not go together."""
    shown = ", ".join(f"{name} {found}" for name, found in main_versions().items())
    return [Finding("versions", "ok", shown), *_sqlite(main_versions()["sqlite"]), *_libraries()]


def _sqlite(found: str) -> list[Finding]:
    number = tuple(int(part) for part in found.split(".")[:3])
    if number < LEAST_SQLITE:
        least = ".".join(map(str, LEAST_SQLITE))
        return [Finding("SQLite", "failed", f"{found} is too old; at least {least} is needed",
                        "Use a Python that is built with a newer SQLite.")]  # fmt: skip
    if not is_checkpoint_safe(number):
        detail = (
            f"{found} may, very rarely, damage a database when two connections checkpoint at the same moment "
            "(mended in 3.51.3, 3.50.7 and 3.44.6)"
        )
        return [Finding("SQLite", "note", detail, "Keep backups, or use a Python with a newer SQLite.")]
    return []


def is_checkpoint_safe(number: tuple[int, ...]) -> bool:
    """Whether this SQLite has the mended reset of the write-ahead log."""
    if number >= SAFE_SQLITE[-1]:
        return True
    return any(number[:2] == safe[:2] and number >= safe for safe in SAFE_SQLITE)


def _libraries() -> list[Finding]:
    findings = []
    if all(version_of(name) for name in SAME_MODULE):
        findings.append(
            Finding(
                "onnxruntime",
                "failed",
                "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files",
                "Run `pip uninstall onnxruntime onnxruntime-gpu`, then install one of them again.",
            )
        )
    unmet = unmet_requirements()
    if unmet:
        fix = "Run `pip install --upgrade ragstone`, with the same extras as before."
        findings.append(Finding("libraries", "failed", f"not as wanted: {'; '.join(unmet)}", fix))
    return findings


def unmet_requirements(distribution: str = "ragstone") -> list[str]:
    """What a distribution asks for and does not find; of extras only what is there in a wrong version."""
    from packaging.requirements import Requirement

    unmet = []
    for line in requires(distribution) or ():
        wanted = Requirement(line)
        is_extra = wanted.marker is not None and "extra" in str(wanted.marker)
        if wanted.name == distribution or not (is_extra or wanted.marker is None or wanted.marker.evaluate()):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            if not is_extra and not (wanted.name in SAME_MODULE and any(map(version_of, SAME_MODULE))):
                unmet.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            unmet.append(f"{wanted.name} {found} instead of {wanted.specifier}")
    return unmet


def look_at_machine() -> list[Finding]:
    """Processor, memory and limits of this process."""
    import platform

    import psutil

    from ragstone.models.hardware import usable_cores

    memory = psutil.virtual_memory()
    machine = f"{platform.machine()}, {usable_cores()} of {os.cpu_count()} cores, {sys.platform}"
    free = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB available"
    findings = [Finding("machine", "ok", machine)]
    if memory.available < LEAST_MEMORY_BYTES:
        fix = "Free some, or give the machine or container more: 512 MiB are wanted."
        findings.append(Finding("memory", "failed", free, fix))
    else:
        findings.append(Finding("memory", "ok", free))
    return [*findings, *_open_files()]


def _open_files() -> list[Finding]:
    if sys.platform == "win32":
        return []
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < LEAST_OPEN_FILES:
        fix = f"Raise it to {LEAST_OPEN_FILES} or more: `ulimit -n`, or LimitNOFILE of the service."
        return [Finding("open files", "note", f"at most {limit} for this process", fix)]
    return []


def look_at_home(loaded: Loaded) -> list[Finding]:
    """Whether the home folder can be used, by whom else, and how much room it has."""
    try:
        home = open_home(loaded.home)
        probe = home.folder / ".doctor"
        probe.write_bytes(b"")
        probe.unlink()
    except RagstoneError as error:
        return [Finding("home", "failed", error.message, "Choose another with --home, or mend this one.")]
    except OSError as error:
        return [
            Finding(
                "home",
                "failed",
                f"{loaded.home} cannot be written: {error}",
                "Give this user the right to write there, or choose another with --home.",
            )
        ]
    free = shutil.disk_usage(home.folder).free
    status: FindingStatus = "ok" if free >= LEAST_FREE_BYTES else "failed"
    fix = "" if status == "ok" else "Make room, or move the home to a larger disk."
    return [
        Finding("home", "ok", f"{home.folder}, writable"),
        *_permissions(home),
        *_file_system(home.folder),
        Finding("disk", status, f"{free / 2**30:.1f} GiB free (at least 1 GiB is wanted)", fix),
    ]


def look_at_log(loaded: Loaded) -> list[Finding]:
    """Whether the log of requests can be read; without one the server makes one."""
    from ragstone.store.log_check import check_log

    path = Home(loaded.home).log
    found = check_log(path, "quick_check")
    if found.problems:
        fix = (
            f"Stop what runs on this home and move {path.name}, {path.name}-wal and {path.name}-shm away: "
            "a new log is made. Statistics and rows of requests and errors so far are lost with it, no "
            "document is; until then requests are answered and not logged."
        )
        return [Finding("log", "failed", "; ".join(found.problems[:SHOWN_PROBLEMS]), fix)]
    if found.layout is None:
        return [Finding("log", "ok", "none yet")]
    return [Finding("log", "ok", f"{path.stat().st_size / 2**20:,.1f} MiB, layout {found.layout}")]


def _permissions(home: Home) -> list[Finding]:
    if sys.platform == "win32":
        return []
    mode = home.folder.stat().st_mode
    if mode & stat.S_IWOTH:
        fix = f"Run `chmod o-w {home.folder}`."
        return [Finding("permissions", "failed", "every user of this machine may write the home", fix)]
    config = home.folder / "ragstone.toml"
    if config.exists() and config.stat().st_mode & stat.S_IROTH and mode & stat.S_IXOTH:
        detail = f"every user of this machine may read {config}, and the keys in it"
        return [Finding("permissions", "note", detail, f"Run `chmod 600 {config}`.")]
    if mode & (stat.S_IROTH | stat.S_IXOTH):
        detail = "every user of this machine may read the documents of the home"
        return [Finding("permissions", "note", detail, f"Run `chmod 700 {home.folder}` if they shall not.")]
    return [Finding("permissions", "ok", f"{stat.filemode(mode)} on the home")]


def _file_system(folder: Path) -> list[Finding]:
    import psutil

    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    mount = next((parent for parent in (folder, *folder.parents) if parent in mounts), None)
    kind = mounts.get(mount, "") if mount is not None else ""
    if kind not in NETWORK_FILE_SYSTEMS:
        return []
    detail = f"{folder} lies on {kind}, where SQLite's log and locks are not safe"
    return [Finding("file system", "failed", detail, "Move the home to a local disk.")]


def look_at_port(loaded: Loaded) -> list[Finding]:
    """Whether the server runs, or could listen where the settings say."""
    server = loaded.settings.server
    running = read_server_url(Home(loaded.home))
    if running is not None:
        return [
            Finding("server", "ok", f"running at {running}"),
            Finding("port", "ok", "taken by our server"),
        ]
    idle = Finding("server", "ok", "not running on this home")
    if server.port == 0:
        return [idle, Finding("port", "ok", "a free one is taken at each start")]
    problem = _listening_problem(server.host, server.port)
    if problem is None:
        return [idle, Finding("port", "ok", f"{server.host}:{server.port} is free")]
    fix = "Stop what listens there, or set server.host and server.port to an address that is free."
    return [idle, Finding("port", "failed", f"{server.host}:{server.port} cannot be used: {problem}", fix)]


def _listening_problem(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None
