"""Build hook: puts the bundled embedding model into wheels and editable installs."""

from __future__ import annotations

import sys
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundledModelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds src/ragstone/models/bundled and forces its (git-ignored) files into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, dict[str, str]]) -> None:  # noqa: ARG002
        """Called by hatchling before it collects files; an editable install reads the folder in place."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        # A build front end does not put the project's root on the path.
        sys.path.insert(0, str(root))
        from build_model.bundle import build_bundle

        bundled = root / "src" / "ragstone" / "models" / "bundled"
        for path in build_bundle(bundled, root / ".model-cache"):
            build_data["force_include"][str(path)] = f"ragstone/models/bundled/{path.name}"
