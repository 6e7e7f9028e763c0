"""Measuring the product: retrieval quality and speed."""
