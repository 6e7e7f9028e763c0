"""What operators ask: is it well, is it whole, what is wrong."""
