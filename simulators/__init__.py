"""Equipment that declares itself simulated or replayed, with faults on demand."""
