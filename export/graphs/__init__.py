"""The papers' modules, written so that their graphs hold no loop and compute no constant."""
