"""Git repositories made by a test, with the system's git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

AUTHOR = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repository:
    """A working copy, and the bare repository that it pushes to."""

    work: Path
    bare: Path

    def commit(self, files: Mapping[str, str | None], branch: str = "main") -> str:
        """Write files (None removes one), commit and push; the hash."""
        for name, text in files.items():
            path = self.work / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "-m", "x")
        git(self.work, "push", "--quiet", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        return git(self.work, "rev-parse", "HEAD").strip()


def make_repository(folder: Path, *, has_filters: bool = True) -> Repository:
    """An empty repository; without `has_filters` its server sends all blobs with every commit."""
    repository = Repository(folder / "work", folder / "bare.git")
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "-b", "main", str(repository.work))
    git(folder, "init", "--quiet", "--bare", "-b", "main", str(repository.bare))
    git(repository.bare, "config", "uploadpack.allowFilter", str(has_filters).lower())
    return repository


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    environment = {**os.environ, **AUTHOR}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout
