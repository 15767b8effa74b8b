"""One block's process: images through one configuration on one backend."""
