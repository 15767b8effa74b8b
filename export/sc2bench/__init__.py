"""A student of sc2bench and torchdistill from its own YAML file: read as data, then built."""
