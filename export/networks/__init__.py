"""The zoo's systems as PyTorch modules: built from packages, loaded or randomised, cut into parts."""
