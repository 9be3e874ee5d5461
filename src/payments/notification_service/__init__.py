"""notification-service: fans events out to webhook endpoints, signs them, delivers them at least once."""
