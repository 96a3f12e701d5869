"""Commands of the streams: run, models, config, verify."""
