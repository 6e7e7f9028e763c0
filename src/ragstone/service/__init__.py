"""What doors may ask for, one file per area; delegation only."""
