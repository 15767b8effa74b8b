"""The papers' modules written so that their graphs hold no loop, no constant and no training part."""
