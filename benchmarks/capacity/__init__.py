"""What a market of a given size needs: measured service times, a queueing simulation, and a bill."""
