"""What runs inside an engine process: one loaded pipeline, one page at a time."""
