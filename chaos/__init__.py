"""The service while what it depends on dies and comes back. Needs the packages of the tests; see docs/resilience.md."""
