"""What people at a surveillance desk do and are told, for every process: cases, proposals, subscriptions, coverage."""
