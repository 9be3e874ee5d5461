-- A payment that keeps its card attaches it to a customer, who is locked meanwhile so that nobody deletes them. To lock a row takes the right to change it.
GRANT UPDATE (version) ON payments.customers TO tap_transaction_processor;
