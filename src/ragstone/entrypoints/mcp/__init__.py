"""The MCP door, on stdio and streamable HTTP."""
