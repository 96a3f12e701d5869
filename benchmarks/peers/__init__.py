"""The same computation on other stream processors, as their users would write it; each in an environment of its own."""
