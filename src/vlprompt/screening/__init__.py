"""Many classes: all are scored by an expansion, and the few best are encoded exactly."""
