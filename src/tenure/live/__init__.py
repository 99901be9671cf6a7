"""What comes in, as it comes, and where it went: requests from the journals and, once loaded, from the warehouse."""
