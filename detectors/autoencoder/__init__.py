"""Autoencoder over windows of feature rows: how badly an instrument's last seconds fit what it has learnt as usual."""
