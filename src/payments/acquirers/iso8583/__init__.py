"""An acquirer over ISO 8583:1987, on one TCP connection that many messages share."""
