"""Speaking to a launch that runs: a socket in a folder that only its owner may enter."""
