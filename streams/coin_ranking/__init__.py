"""The coin desk live: minute bars of every feed and partition in, rankings out, once each."""
