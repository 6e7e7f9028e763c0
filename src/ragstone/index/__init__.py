"""Derived indexes: they return candidate ids and can be rebuilt from the truth at any time."""
