"""A bundle compared with the outputs that it carries."""
