"""The parity ladder: proof that a framework computes what the reference computes, before any speed is compared."""
