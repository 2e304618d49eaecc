"""The count: who is connected at an instant, as known at another, and why every other device is not."""
