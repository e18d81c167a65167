"""The ML-BOM: what a model is made of, as CycloneDX 1.6 JSON, with measured facts apart from declared ones."""
