"""Links between board and server: as people write them, simulated, shaped."""
