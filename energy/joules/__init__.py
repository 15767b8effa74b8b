"""From power samples to joules: integration, windows, intervals."""
