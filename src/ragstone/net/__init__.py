"""The only HTTP client of the product."""
