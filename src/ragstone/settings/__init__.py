"""Every setting with its default, its range and one sentence on what it does."""

from __future__ import annotations

from ragstone.settings.analytics import AnalyticsSettings, TokenPrice
from ragstone.settings.asking import AnswerSettings, CacheSettings, SearchSettings
from ragstone.settings.operating import (
    LimitsSettings,
    ResilienceSettings,
    SecuritySettings,
    TelemetrySettings,
)
from ragstone.settings.section import Section
from ragstone.settings.serving import (
    FallbackSettings,
    GeneratorSettings,
    IndexSettings,
    ModelsSettings,
    ServerSettings,
    StoreSettings,
)
from ragstone.settings.taking_in import IngestSettings, SourcesSettings

__all__ = [
    "AnalyticsSettings",
    "AnswerSettings",
    "CacheSettings",
    "FallbackSettings",
    "GeneratorSettings",
    "IndexSettings",
    "IngestSettings",
    "LimitsSettings",
    "ModelsSettings",
    "ResilienceSettings",
    "SearchSettings",
    "SecuritySettings",
    "ServerSettings",
    "Settings",
    "SourcesSettings",
    "StoreSettings",
    "TelemetrySettings",
    "TokenPrice",
]


class Settings(Section):
    """All settings, by section."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    index: IndexSettings = IndexSettings()
    models: ModelsSettings = ModelsSettings()
    generator: GeneratorSettings = GeneratorSettings()
    ingest: IngestSettings = IngestSettings()
    sources: SourcesSettings = SourcesSettings()
    search: SearchSettings = SearchSettings()
    answer: AnswerSettings = AnswerSettings()
    cache: CacheSettings = CacheSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    limits: LimitsSettings = LimitsSettings()
    resilience: ResilienceSettings = ResilienceSettings()
    security: SecuritySettings = SecuritySettings()
