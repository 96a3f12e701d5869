"""Supervised pump detector: eight features of aggressive buying over chunks of 5, 15 and 25 s, and boosted trees."""
