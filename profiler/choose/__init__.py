"""Which measured configurations meet given bounds, and which none is better than."""
