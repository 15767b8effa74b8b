"""The zoo's systems as PyTorch modules: built from packages, given weights, cut into parts."""
