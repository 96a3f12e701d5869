"""What it takes to trade: venue rules, exact accounting, and fills of orders against a recorded market."""
