"""Accuracy and bytes of deployed bundles on data sets in their own formats."""
