"""The next day's direction in seven classes: inputs, labels, calibration, and what every learner of them looks like."""
