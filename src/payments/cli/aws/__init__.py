"""Tap on AWS from the command line: deploying an environment, releasing a service, going back, and how things are."""
