"""A bridge from topics that others write: their JSON or CSV messages become frames of a feed, exactly once."""
