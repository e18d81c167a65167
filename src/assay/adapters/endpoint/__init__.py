"""Models behind an address: asked over HTTP, patiently, every row counted and every answer kept."""
