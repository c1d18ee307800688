"""What people read: the summary on the terminal."""
