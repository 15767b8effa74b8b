"""What the papers state, and how they name things."""
