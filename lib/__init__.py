"""Tap on AWS: one CDK app of seven nested stacks. It knows the application through `payments.runtime.topology` only."""
