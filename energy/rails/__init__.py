"""Rails: what a sensor measures, found by its label, and which of them make up the total."""
