"""The walls around parsing hold, and what hits them costs one document."""

from __future__ import annotations

import io
import os
import select
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import anyio
import pytest

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, ParserLimitExceeded
from ragstone.ingest.extraction import Request
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import DocumentParser
from ragstone.ingest.parser_process import ParserProcess
from ragstone.ingest.sandbox import SandboxedParser
from ragstone.types import RawFile

_SMALL = RawFile(b"<h1>Ponds</h1><p>Ducks like ponds.</p>", "ponds.html")
_LONG = RawFile(b"<p>Ducks like <b>ponds</b> and rain.</p>" * 400_000, "long.html")
_WORD = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'


def _word_file(inflated_mib: int) -> bytes:
    """A Word file whose text inflates a thousandfold."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("word/document.xml", "w", force_zip64=True) as entry:
            entry.write(_WORD.encode())
            paragraph = b"<w:p><w:r><w:t>bomb</w:t></w:r></w:p>" * 28_340  # 1 MiB
            for _ in range(inflated_mib):
                entry.write(paragraph)
            entry.write(b"</w:body></w:document>")
        archive.writestr("[Content_Types].xml", "<Types/>")
    return buffer.getvalue()


def _process_id(parser: SandboxedParser) -> int:
    return parser._idle[0]._process.pid


@pytest.mark.anyio
async def test_a_zip_bomb_is_refused_by_its_declared_size(parser: DocumentParser) -> None:
    """300 MB inside a small DOCX never reach a parser; the message names the size and the setting."""
    bomb = await anyio.to_thread.run_sync(_word_file, 300)
    assert len(bomb) < 3 * 2**20

    with pytest.raises(ParserLimitExceeded, match=r"300 MiB.*ingest\.max_unpacked_bytes"):
        await parser.parse(RawFile(bomb, "bomb.docx"), Deadline.after(60))


@pytest.mark.anyio
async def test_a_file_that_needs_too_much_memory_is_refused_and_the_next_one_read() -> None:
    """The memory wall ends the process, not the server."""
    parser = SandboxedParser(ParsingLimits(memory_mb=600, timeout_s=60))
    bomb = await anyio.to_thread.run_sync(_word_file, 95)

    with pytest.raises(ParserLimitExceeded, match=r"memory.*ingest\.parse_memory_mb"):
        await parser.parse(RawFile(bomb, "greedy.docx"), Deadline.after(120))

    assert "Ducks" in (await parser.parse(_SMALL, Deadline.after(60))).text
    await parser.aclose()


@pytest.mark.anyio
async def test_a_file_that_takes_too_long_is_refused_and_the_next_one_read() -> None:
    """The wall clock ends the process, not the server."""
    parser = SandboxedParser(ParsingLimits(timeout_s=3))
    await parser.parse(_SMALL, Deadline.after(60))
    os.kill(_process_id(parser), signal.SIGSTOP)  # the file takes longer than any limit, the next one less
    with pytest.raises(ParserLimitExceeded, match=r"3 s.*ingest\.parse_timeout_s"):
        await parser.parse(_LONG, Deadline.after(60))

    assert "Ducks" in (await parser.parse(_SMALL, Deadline.after(60))).text
    await parser.aclose()


@pytest.mark.anyio
async def test_the_deadline_ends_parsing_before_the_wall_clock_does() -> None:
    """It is the caller's time that ran out, so the document is not blamed."""
    parser = SandboxedParser(ParsingLimits(timeout_s=60))
    await parser.parse(_SMALL, Deadline.after(60))

    with pytest.raises(DeadlineExceeded):
        await parser.parse(_LONG, Deadline.after(0.2))
    assert parser._idle == []
    await parser.aclose()


@pytest.mark.anyio
async def test_processes_are_used_again_and_never_more_than_allowed() -> None:
    """Ten files at once through two processes."""
    parser = SandboxedParser(ParsingLimits(workers=2))
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(parser.parse, _SMALL, Deadline.after(60))

    assert len(parser._idle) == 2
    assert sum(process.documents for process in parser._idle) == 10
    await parser.aclose()


@pytest.mark.anyio
async def test_a_process_killed_from_outside_is_replaced_unnoticed() -> None:
    """An idle process that the machine took away is not the next document's fault."""
    parser = SandboxedParser(ParsingLimits())
    await parser.parse(_SMALL, Deadline.after(60))
    killed = _process_id(parser)
    os.kill(killed, signal.SIGKILL)

    assert "Ducks" in (await parser.parse(_SMALL, Deadline.after(60))).text
    assert _process_id(parser) != killed
    await parser.aclose()


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
async def test_a_process_stands_behind_its_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secrets in its environment, an empty folder, limits set, and no network where the kernel allows."""
    monkeypatch.setenv("RAGSTONE_SECRET", "hunter2")
    parser = SandboxedParser(ParsingLimits())
    await parser.parse(_SMALL, Deadline.after(60))
    folder = Path("/proc", str(_process_id(parser)))
    limits = {
        line[:26].strip(): line[26:].split()[0] for line in (folder / "limits").read_text().splitlines()
    }

    assert b"hunter2" not in (folder / "environ").read_bytes()
    assert list((folder / "cwd").resolve().iterdir()) == []
    assert limits["Max address space"] == str(2048 * 2**20)
    assert limits["Max core file size"] == "0"
    assert limits["Max open files"] == "64"
    if parser._idle[0].walls.network == "own namespace":
        devices = (folder / "net" / "dev").read_text().splitlines()[2:]
        assert [device.split(":")[0].strip() for device in devices] == ["lo"]
    await parser.aclose()


_CAPTIVE = """
import os, socket, subprocess, sys, threading
from ragstone.ingest.process_walls import stand_behind_walls
walls = stand_behind_walls(2 * 2**30, os.getppid())
def tried(name, attempt):
    try:
        attempt()
        print(name, "worked")
    except OSError as error:
        print(name, type(error).__name__)
server, port, victim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def everything(who):
    tried(who + "internet socket", lambda: socket.socket(socket.AF_INET))
    tried(who + "local socket", lambda: socket.socket(socket.AF_UNIX))
    tried(who + "connection", lambda: socket.create_connection((server, port), 5))
    tried(who + "program", lambda: subprocess.run(["/bin/true"]))
    tried(who + "signal", lambda: os.kill(victim, 0))
    tried(who + "new file", lambda: open(sys.argv[4] + "/new", "w"))
    tried(who + "old file", lambda: open(sys.argv[4] + "/old", "a"))
    tried(who + "removal", lambda: os.remove(sys.argv[4] + "/old"))
    tried(who + "renaming", lambda: os.rename(sys.argv[4] + "/old", sys.argv[4] + "/new"))
everything("")
thread = threading.Thread(target=everything, args=("thread's ",))
thread.start()
thread.join()
tried("reading", lambda: open(sys.argv[4] + "/old").read())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
def test_code_behind_the_walls_reaches_neither_network_nor_programs_nor_files(tmp_path: Path) -> None:
    """A taken-over parser, and any thread it starts, is refused sockets, connections to a server that is
    there, programs, signals to the server, and every change of a file; reading goes on.
    """
    (tmp_path / "old").write_text("kept", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address, port = server.getsockname()
        arguments = [address, str(port), str(os.getpid()), str(tmp_path)]
        command = [sys.executable, "-c", _CAPTIVE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    outcomes = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert outcomes.pop("reading") == "worked"
    assert len(outcomes) == 18
    assert set(outcomes.values()) == {"PermissionError"}
    assert (tmp_path / "old").read_text("utf-8") == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_a_killed_server_leaves_no_process_behind() -> None:
    """kill -9 of the parent ends the parser process too."""
    program = (
        "import anyio\n"
        "from ragstone.deadline import Deadline\n"
        "from ragstone.ingest.sandbox import SandboxedParser\n"
        "from ragstone.ingest.limits import ParsingLimits\n"
        "from ragstone.types import RawFile\n"
        "async def main():\n"
        "    parser = SandboxedParser(ParsingLimits())\n"
        "    await parser.parse(RawFile(b'<p>Ducks</p>', 'a.html'), Deadline.after(60))\n"
        "    print(parser._idle[0]._process.pid, flush=True)\n"
        "    await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        process_id = int(server.stdout.readline())
        child = os.pidfd_open(process_id)
        os.kill(process_id, signal.SIGSTOP)  # as one deep in a file: it cannot notice that its input ended
        server.kill()
        ended, _, _ = select.select([child], [], [], 60)

    os.close(child)
    assert ended


@pytest.mark.anyio
async def test_source_code_that_crashes_its_grammar_is_cut_by_indentation(
    parser: DocumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Syntax is parsed in a parser process: one that dies of it costs the outline, not the document."""
    code = RawFile(b"def ponds():\n    return 1\n", "ponds.py")
    whole = await parser.parse(code, Deadline.after(60))
    asked = ParserProcess._send

    async def ask_and_kill(process: ParserProcess, request: Request) -> None:
        await asked(process, request)
        process._process.send_signal(signal.SIGSEGV)

    monkeypatch.setattr(ParserProcess, "_send", ask_and_kill)
    crashed = await parser.parse(RawFile(b"x = 1\n" * 80_000, "ponds.py"), Deadline.after(60))

    assert [section.path for section in whole.sections] == [("ponds",)]
    assert crashed.sections == ()
    assert len(crashed.breaks) == 80_000
    assert "Cut by indentation" in crashed.warnings[0] and "SIGSEGV" in crashed.warnings[0]


@pytest.mark.anyio
async def test_closing_ends_the_processes_and_removes_their_folders() -> None:
    """Nothing is left on disk or in the process table."""
    parser = SandboxedParser(ParsingLimits())
    await parser.parse(_SMALL, Deadline.after(60))
    process_id, folder = _process_id(parser), parser._idle[0]._folder
    await parser.aclose()

    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    assert folder not in folder.parent.iterdir()
