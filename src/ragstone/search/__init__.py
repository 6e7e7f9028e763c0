"""Hybrid search: understand > lexical + dense > hydrate > fuse > trim."""
