"""What `mlbench compare` says, as a table on the terminal, Markdown, JSON, CSV, HTML, JUnit and GitHub annotations."""
