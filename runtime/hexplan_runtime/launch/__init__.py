"""From a plan to running ranks on this machine."""
