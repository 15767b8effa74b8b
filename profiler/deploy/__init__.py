"""Deployed: frames of a camera through a board and a server, as an application runs them."""
