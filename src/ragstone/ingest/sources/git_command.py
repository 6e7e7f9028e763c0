"""Running git: a clean environment, no prompts, no hooks, no other transports, bounded time and size."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from ragstone.errors import NotReady, SourceFailed

_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "credential.helper=",
    "gc.autoDetach=false",
    "http.followRedirects=false",
    "http.proxy=",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "protocol.https.allow=always",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
)
_BLOCK_BYTES = 512
"""What `ulimit -f` counts in (POSIX)."""
_TOLD_CHARS = 300
_STDERR_BYTES = 64 * 1024


class Git:
    """git for one repository folder."""

    def __init__(self, folder: Path, timeout_s: float, max_file_bytes: int) -> None:
        """Args: `max_file_bytes` bounds every file that git writes, and with that the pack it receives."""
        self._folder = folder
        self._timeout_s = timeout_s
        self._max_blocks = max(1, max_file_bytes // _BLOCK_BYTES)
        self._options: tuple[str, ...] = ()

    def pin(self, host: str, port: int, address: str) -> None:
        """From here on connections to `host` go to `address`, whatever name servers say."""
        shown = f"[{address}]" if ":" in address else address
        self._options = (f"http.curloptResolve={host}:{port}:{shown}",)

    async def run(self, verb: str, *words: str, stdin: bytes = b"", config: str | None = None) -> bytes:
        """What `git VERB WORDS...` prints; `config` is a KEY=VALUE for this command alone.

        Raises:
            SourceFailed: it fails, takes too long or receives too much.
            NotReady: git is not installed.
        """
        with TemporaryFile() as given:  # not a pipe: git may end before it has read one
            given.write(stdin)
            given.seek(0)
            process = await self._start((verb, *words), () if config is None else (config,), given)
        try:
            async with asyncio.timeout(self._timeout_s):
                stdout, stderr = await process.communicate()
        except TimeoutError as error:
            raise SourceFailed(
                f"git {verb} took longer than {self._timeout_s:g} s (sources.git_timeout_s)."
            ) from error
        finally:
            await _end(process)
        if process.returncode != 0:
            raise _failed(verb, process.returncode or 0, stderr)
        return stdout

    async def _start(
        self, words: Sequence[str], config: Sequence[str], stdin: IO[bytes]
    ) -> asyncio.subprocess.Process:
        program = shutil.which("git")
        if program is None:
            raise NotReady("git is not installed; install it to sync git sources.")
        configured = [part for value in (*_CONFIG, *self._options, *config) for part in ("-c", value)]
        # The shell sets the limit before git begins; its children have it, too.
        limited = ("/bin/sh", "-c", 'ulimit -f "$1" && shift && exec "$@"', "sh", str(self._max_blocks))
        return await asyncio.create_subprocess_exec(
            *limited,
            program,
            *configured,
            f"--git-dir={self._folder}",
            *words,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's: no configuration, no keys, no proxies, no prompts."""
        return {
            "PATH": os.defpath,
            "HOME": "/nonexistent",
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ADVICE": "0",
        }


async def _end(process: asyncio.subprocess.Process) -> None:
    """No process of git outlives its command."""
    if process.returncode is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    await process.wait()


def _failed(word: str, code: int, stderr: bytes) -> SourceFailed:
    lines = stderr[-_STDERR_BYTES:].decode("utf-8", "replace").strip().splitlines()
    told = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    if code in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or "File too large" in told or "signal 25" in told:
        return SourceFailed("The repository is larger than sources.git_max_bytes allows.")
    return SourceFailed(f"git {word} failed: {told[:_TOLD_CHARS] or f'exit code {code}'}.")
