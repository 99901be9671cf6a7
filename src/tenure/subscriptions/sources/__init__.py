"""What stored events say of subscriptions: one pure function for each source."""
