"""Hooks of agents: what they tell becomes runs and questions, what people answer becomes their words."""
