"""The command line; heavy imports stay inside commands, so that --help is instant."""
