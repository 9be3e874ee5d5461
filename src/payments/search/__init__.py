"""Search: its query language, what is searched of each kind of object, and how a query is answered from bitmaps. Knows no database and no HTTP."""
