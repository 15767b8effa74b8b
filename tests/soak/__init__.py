"""Long trials: `python -m tests.soak [kills ...]`. The suite runs short forms of them."""
