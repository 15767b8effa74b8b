"""Which measured configurations meet given bounds, and which no other one beats."""
