"""A toy framework: multi-layer perceptrons by hand. TOY_FAULT plants a fault in its training step."""
