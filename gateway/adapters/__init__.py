"""One room per protocol; each folder here is a protocol that this installation supports."""
