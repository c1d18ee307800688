"""Runs of mlbench in MLflow."""
