"""Power and energy over HTTP, for Prometheus."""
