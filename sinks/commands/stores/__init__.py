"""The stores of `tapewatch sink`, a module each."""
