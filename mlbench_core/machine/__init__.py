"""The machine that something runs on: facts about it, its GPUs, and where the cache lies."""
