"""Taking documents in: load > parse > chunk > embed > write."""
