"""Links told by a person, simulated ones worked out, shaped ones made, and their rates measured."""
