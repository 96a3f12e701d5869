"""Commands of the detectors: training."""
