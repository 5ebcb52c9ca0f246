"""The command line, ``deepfinance``."""
