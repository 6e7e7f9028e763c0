"""The truth: everything Ragstone knows, in one SQL database."""
