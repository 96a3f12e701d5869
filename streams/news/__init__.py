"""News as it arrives: scored, matched with what was said before, summed up by instrument."""
