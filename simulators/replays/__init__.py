"""Recordings of machines played again, over each protocol of the fleet, and marked as replays everywhere."""
