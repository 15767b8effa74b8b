"""The board's end of the connection to a server."""
