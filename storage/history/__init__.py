"""Every forecast made, and how it came out."""
