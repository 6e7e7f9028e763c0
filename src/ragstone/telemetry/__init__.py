"""Logs, metrics and stage timings: the only place that knows prometheus."""
