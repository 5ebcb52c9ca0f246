"""The models behind BentoML runner services, and the coalescing client that reaches them."""
