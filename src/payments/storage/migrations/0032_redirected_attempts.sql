-- A payment that its acquirer can't be sent goes on to the next one: its attempt says so before it does.

GRANT UPDATE (document) ON payments.attempts TO tap_transaction_processor;
