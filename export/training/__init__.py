"""Training of a split model by distillation, without labels: photographs, network, loop."""
