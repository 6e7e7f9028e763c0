"""`ragstone doctor` and `ragstone support-bundle`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    quiet_logs,
    run_async,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragstone.operate.findings import Finding

EXIT_PROBLEMS = 1
MARKS = {"ok": "[green]ok[/]  ", "note": "[yellow]note[/]", "failed": "[red]fail[/]"}


def doctor(context: typer.Context, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Look at everything that Ragstone needs; exits with 1 when something is broken."""
    from ragstone.entrypoints import wire_operate

    findings = _examined(context, home)
    if as_json:
        print_json(wire_operate.findings(findings))
    else:
        _show(findings)
    if any(finding.status == "failed" for finding in findings):
        raise typer.Exit(EXIT_PROBLEMS)


def support_bundle(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to; here when left out.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Put what helpers need to see into one file, without documents, questions and keys.

    Example: ragstone support-bundle -o trouble.tar.gz
    """
    from ragstone.errors import InvalidRequest
    from ragstone.operate.bundle import collect, write_bundle
    from ragstone.operate.doctor import examine

    loaded = load_settings(context, home)
    quiet_logs(loaded)
    path = output or Path(f"ragstone-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz")

    async def collected() -> dict[str, bytes]:
        return await collect(loaded, await examine(loaded))

    entries = run_async(collected())
    try:
        write_bundle(path, entries)
    except OSError as error:
        raise InvalidRequest(f"{str(path)!r} cannot be written: {error}; choose another with -o.") from error
    if as_json:
        print_json({"path": str(path), "size_bytes": path.stat().st_size, "files": sorted(entries)})
    else:
        print(f"{path}: {', '.join(sorted(entries))}")
        print("It holds no documents, questions or keys; look into it before you send it.")


def _examined(context: typer.Context, home: Path | None) -> Sequence[Finding]:
    """What is found; settings that cannot be read are a finding, too."""
    from ragstone.errors import InvalidSetting
    from ragstone.operate.doctor import examine, examine_without_settings

    try:
        loaded = load_settings(context, home)
    except InvalidSetting as error:
        return examine_without_settings(error)
    quiet_logs(loaded)
    return run_async(examine(loaded))


def _show(findings: Sequence[Finding]) -> None:
    from rich.markup import escape

    shown = console()
    for finding in findings:
        shown.print(f"{MARKS[finding.status]}  [bold]{finding.name}[/]: {escape(finding.detail)}")
        if finding.fix:
            shown.print(f"      [dim]{escape(finding.fix)}[/]")
