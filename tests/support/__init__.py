"""What several tests lean on: real processes, real servers, small documents."""
