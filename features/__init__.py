"""Model inputs from prices. One implementation for training and serving; pure: no I/O, no clock."""
