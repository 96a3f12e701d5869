"""The paper broker: signals become orders that fill against the recorded market, with books of their own."""
