"""The HTTP edge: what a caller may send, what an answer looks like, and what stands in front of it all."""
