"""What is kept: for a minute in caches, for good in the history."""
