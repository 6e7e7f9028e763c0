"""Grafana dashboards and Prometheus rules, made from the registry of metrics."""
