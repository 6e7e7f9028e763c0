"""Remembering what was expensive to make: keys, tiers, single-flight."""
