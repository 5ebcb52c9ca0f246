"""Out-of-sample measurement: what was known when, what happened, how good the forecast was. Pure."""
