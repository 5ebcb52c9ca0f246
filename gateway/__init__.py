"""The HTTP edge: what a caller may send, what an answer looks like, and everything in front of the pipeline."""
