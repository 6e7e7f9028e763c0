"""The HTTP door; statuses exist only here."""
