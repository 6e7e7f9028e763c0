"""A log of failures that is only a list."""

from __future__ import annotations

from dataclasses import dataclass, field

from ragstone.analytics.error_log import Background
from ragstone.types import DEFAULT_TENANT, TenantId


@dataclass(slots=True)
class Failures:
    """Keeps what fails beside requests: service, operation, kind of the error."""

    noted: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(
        self,
        error: BaseException,
        operation: str,
        *,
        service: Background,
        tenant_id: TenantId = DEFAULT_TENANT,
    ) -> None:
        del tenant_id
        self.noted.append((service, operation, type(error).__name__))
