"""K-means manipulation scores: the classic pair of one-minute changes, and the many-feature model."""
