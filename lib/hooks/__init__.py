"""Code that runs on AWS beside the services: one file a Lambda function."""
