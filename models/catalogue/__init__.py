"""Writes the catalogue's manifests; run as ``python models/catalogue FACTS.json``."""
