"""TensorFlow for mlbench: an architecture lowered to Keras 3 layers and trained by a loop of its own."""
