"""Documents in, hybrid search, answers with exact citations."""
