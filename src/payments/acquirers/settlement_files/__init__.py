"""The files in which acquirers say what they paid us: read line by line, in memory that doesn't grow with them, and written."""
