"""Offline: what detectors find and policies earn over history, by the brokerless driver; one module an evaluation."""
