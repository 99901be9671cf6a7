-- When each key last did what in a verified event, and when the last event of it was received. `last` is of all events.
-- Tables that 0005 makes have these columns from the start.
ALTER TABLE seen ADD COLUMN IF NOT EXISTS verified_last SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT toDateTime64('1900-01-01', 3, 'UTC') CODEC(ZSTD);
ALTER TABLE seen ADD COLUMN IF NOT EXISTS received_last SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT toDateTime64('1900-01-01', 3, 'UTC') CODEC(ZSTD);

-- On the list: `first_seen` and `lasts` are of events that are not dated ahead, `last_seen` and `verified_lasts` (in
-- milliseconds, in the order of `names`) of verified ones of these; 1900 is for none. `dated_ahead` counts events whose time
-- has not come; the next comes at `ahead_at`, and the row is made again then.
ALTER TABLE customer ADD COLUMN IF NOT EXISTS verified_lasts Array(Int64);
ALTER TABLE customer ADD COLUMN IF NOT EXISTS last_received DateTime64(3, 'UTC') DEFAULT toDateTime64('1900-01-01', 3, 'UTC');
ALTER TABLE customer ADD COLUMN IF NOT EXISTS dated_ahead UInt64;
ALTER TABLE customer ADD COLUMN IF NOT EXISTS ahead_at DateTime64(3, 'UTC') DEFAULT toDateTime64('1900-01-01', 3, 'UTC');

-- What is here already; nothing that is added up changes. The list makes the rows of all of them again.
INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed, verified_last, received_last)
SELECT app, customer_key, name, 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'),
    toDateTime64('1900-01-01', 3, 'UTC'), now64(6), max(if(verified, occurred_at, toDateTime64('1900-01-01', 3, 'UTC'))),
    max(received_at)
FROM event FINAL GROUP BY app, customer_key, name
SETTINGS optimize_aggregation_in_order = 1, insert_deduplicate = 0, max_threads = 1, max_block_size = 8192,
    min_insert_block_size_rows = 65536, min_insert_block_size_bytes = 16777216;
