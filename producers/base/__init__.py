"""What every live connector stands on."""
