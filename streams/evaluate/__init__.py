"""What `tapewatch evaluate` measures: one module each, through the brokerless driver."""
