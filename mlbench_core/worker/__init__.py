"""All that runs inside the child process: one trial, one framework."""
