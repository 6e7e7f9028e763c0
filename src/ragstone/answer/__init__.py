"""Answers with exact citations: search > pack > prompt > generate > cite > check."""
