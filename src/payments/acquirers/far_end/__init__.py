"""A bank in a process of its own, with a record of its own: what an acquirer's far end does, and what may go wrong with it on purpose."""
