"""Nothing that waits for a disk, a network or a process is called on the event loop."""

from __future__ import annotations

from pathlib import Path

from tests.http.tour import touring
from tests.requirements import verifies

WATCH = """
import asyncio, sys, threading, traceback
from pathlib import Path

FOLDER = Path({folder!r})
WATCHED = {{
    "open", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir", "os.truncate",
    "shutil.copyfile", "shutil.move", "shutil.rmtree", "tempfile.mkstemp", "glob.glob", "pathlib.Path.glob",
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "sqlite3.connect", "subprocess.Popen",
    "os.posix_spawn", "os.system", "time.sleep",
}}
noting = threading.local()

def look(event, arguments):
    if event not in WATCHED or getattr(noting, "is_on", False):
        return
    if asyncio._get_running_loop() is None or threading.current_thread() is not threading.main_thread():
        return
    noting.is_on = True
    try:
        if (FOLDER / "armed").exists():
            stack = [line for line in traceback.format_stack() if "tests" not in line]
            with (FOLDER / "seen").open("a") as seen:
                seen.write(f"{{event}} {{arguments!r:.200}}\\n{{''.join(stack[-14:-1])}}\\n\\n")
    finally:
        noting.is_on = False

sys.addaudithook(look)
"""
"""Python's own reports of what it is about to do, taken down where a loop runs in the main thread."""


@verifies("RES-08")
def test_no_call_on_the_event_loop_waits_for_a_disk_a_network_or_a_process(tmp_path: Path) -> None:
    """Whatever the doors are asked for: documents, searches, answers, syncs, warming, outages, assistants."""
    (tmp_path / "sitecustomize.py").write_text(WATCH.format(folder=str(tmp_path)))
    seen = tmp_path / "seen"

    armed = tmp_path / "armed"
    with touring(tmp_path / "tour", {"PYTHONPATH": str(tmp_path)}, armed.touch):
        armed.unlink()

    assert not seen.exists(), seen.read_text()
