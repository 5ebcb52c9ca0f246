"""From member quantiles to one calibrated distribution. Pure; vectorised over rows, a row does not depend on others."""
