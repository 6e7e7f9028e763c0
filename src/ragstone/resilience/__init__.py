"""What keeps one failing dependency from taking the rest with it: breakers, retries, limits."""
