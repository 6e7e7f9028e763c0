"""`ragstone health`: how the running server is, for people and for container health checks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ragstone.entrypoints.cli.context import HomeOption, JsonOption, console, load_settings, print_json

if TYPE_CHECKING:
    from ragstone.config import Loaded

EXIT_UNWELL = 1
WAIT_S = 5.0
"""For a server that accepts connections and does not answer."""
MARKS = {"ok": "[green]ok[/]      ", "degraded": "[yellow]degraded[/]", "failed": "[red]failed[/]  "}


def health(
    context: typer.Context,
    is_readiness: Annotated[
        bool, typer.Option("--ready", help="May it be sent requests? Not while it starts or stops.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Ask the running server how it is; exits with 1 when it is not well or not there.

    Degraded parts alone are well enough: the rest works.

    In a container: HEALTHCHECK CMD ragstone health --ready
    """
    loaded = load_settings(context, home)
    url = server_url(loaded)
    found = fetch_json(f"{url}{'/health/ready' if is_readiness else '/health'}")
    if as_json:
        print_json(found)
    else:
        _show(found, url)
    is_well = found.get("status") in ("ok", "degraded")
    if not is_well or (is_readiness and not found.get("ready")):
        raise typer.Exit(EXIT_UNWELL)


def server_url(loaded: Loaded) -> str:
    """Where the server of this home says that it listens, else where the settings say."""
    from ragstone.home import Home, read_server_url

    server = loaded.settings.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    return read_server_url(Home(loaded.home)) or f"http://{host}:{server.port}"


def fetch_json(url: str) -> dict[str, object]:
    """What the server says there, whatever the status.

    Raises:
        DependencyFailed: it does not answer, or not in JSON.
    """
    import anyio

    from ragstone.errors import DependencyFailed
    from ragstone.net.probe import probe

    answered = anyio.run(probe, url, "", WAIT_S)
    if answered.status is None:
        raise DependencyFailed(f"The server at {url} {answered.problem}; start it with `ragstone serve`.")
    try:
        return cast("dict[str, object]", json.loads(answered.body))
    except ValueError as error:
        raise DependencyFailed(
            f"What answers at {url} is no Ragstone (status {answered.status}); set server.port or --home."
        ) from error


def _show(found: dict[str, object], url: str) -> None:
    from rich.markup import escape

    shown = console()
    if "components" not in found:
        shown.print(f"[yellow]{escape(str(found.get('phase') or 'not ready'))}[/] at {url}: "
                    f"{escape(str(found.get('detail', '')))}")  # fmt: skip
        return
    phase = f", {found['phase']}" if found["phase"] != "serving" else ""
    shown.print(f"{MARKS[str(found['status'])].strip()}{phase} at {url}, up {found['uptime_s']} s")
    for name, part in cast("dict[str, dict[str, object]]", found["components"]).items():
        shown.print(
            f"{MARKS[str(part['status'])]}  [bold]{name}[/]: {escape(str(part['detail']))} "
            f"[dim]({part['latency_ms']} ms)[/]"
        )
