"""JAX for mlbench: Flax NNX layers and optax, as one compiled function per step."""
