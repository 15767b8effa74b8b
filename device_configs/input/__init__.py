"""Files and texts from elsewhere, read within bounds and checked before anything uses them."""
