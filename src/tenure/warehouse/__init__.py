"""The warehouse: ClickHouse over HTTP, by default an embedded one (`engine`)."""
