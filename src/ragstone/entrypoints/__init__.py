"""The doors: HTTP, MCP, command line, Python. A door reads, calls, translates, returns."""
