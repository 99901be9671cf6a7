"""What people and programs read: the read API and its documentation."""
