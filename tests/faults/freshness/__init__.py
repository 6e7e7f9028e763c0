"""The proof that no cache serves what is old or another's: random work in several processes, then a check."""
