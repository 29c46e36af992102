"""The stages in a row: each step reads and writes the run folder, and is redone only when its inputs changed."""
