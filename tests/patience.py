"""How long tests wait for what comes at once on a quiet machine; only what hangs takes longer."""

PATIENCE = 300.0  # seconds
