"""The state of the board: clocks, temperatures, memory, versions."""
