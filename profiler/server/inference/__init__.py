"""The models of a server, and the threads that run them."""
