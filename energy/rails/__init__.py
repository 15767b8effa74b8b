"""Rails: what each sensor measures, identified by its label, and which rails form the total."""
