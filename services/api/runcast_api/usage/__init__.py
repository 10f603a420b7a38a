"""What runs use: tokens and cost by day, and budgets."""
