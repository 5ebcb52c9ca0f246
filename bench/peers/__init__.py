"""What people would write instead: the same artefacts, the same pure code, the same prices, served plainly."""
