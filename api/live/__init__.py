"""The live stream: one poller for any number of viewers, each limited to what it may see."""
