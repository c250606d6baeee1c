"""Where a model's files come from, and how it is known that they are the right ones."""
