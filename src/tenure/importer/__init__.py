"""`tenure import`: a file of history, row by row, into the journal and from there into the warehouse."""
