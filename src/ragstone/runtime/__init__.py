"""Builds everything from settings."""
