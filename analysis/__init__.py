"""What it cost and how to say it: prices, outcomes, reports."""
