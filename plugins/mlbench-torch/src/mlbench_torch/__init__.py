"""PyTorch for mlbench. `plugin` holds the hooks; `lowering.lower` is where a third party adds a layer of its own."""
