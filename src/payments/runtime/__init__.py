"""What every process needs: settings, clock, ids, logging, metrics."""
