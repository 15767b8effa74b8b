"""What the server answers over HTTP, and the limits on what arrives."""
