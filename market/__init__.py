"""Market data: one file per source, the chain that orders them, the checks on bars, exchange calendars."""
