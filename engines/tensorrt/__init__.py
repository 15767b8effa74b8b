"""TensorRT: engines built on the machine that runs them, and the backend that runs them."""
