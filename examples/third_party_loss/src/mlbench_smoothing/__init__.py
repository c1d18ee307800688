"""Cross-entropy with smoothed labels in mlbench."""
