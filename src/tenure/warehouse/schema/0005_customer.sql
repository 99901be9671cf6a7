-- How often and when each key did what: a row for each name, and one with name '' for a key that an identify was sent
-- under. The loader adds what each block brings; a key's rows are counted anew when an event of it is replaced.
-- `changed` is when the loader last wrote here, so that a list of customers knows what to look at after a crash.
-- `verified_last` is of verified events alone. Tables of before these two columns have them by 0020.
CREATE TABLE IF NOT EXISTS seen (
    app LowCardinality(String),
    customer_key FixedString(16),
    name LowCardinality(String),
    events SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD),
    verified SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD),
    first SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(ZSTD),
    last SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD),
    changed SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(ZSTD),
    verified_last SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT toDateTime64('1900-01-01', 3, 'UTC') CODEC(ZSTD),
    received_last SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT toDateTime64('1900-01-01', 3, 'UTC') CODEC(ZSTD)
) ENGINE = AggregatingMergeTree
ORDER BY (app, customer_key, name)
SETTINGS index_granularity = 512, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- What each key stands for.
CREATE TABLE IF NOT EXISTS identifier (
    app LowCardinality(String),
    customer_key FixedString(16),
    kind LowCardinality(String),
    value String CODEC(ZSTD)
) ENGINE = ReplacingMergeTree
ORDER BY (app, customer_key)
SETTINGS index_granularity = 512, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- The list of customers: a row for each, with all that it is searched, filtered and sorted by, and `shown`, the item as it
-- is answered (JSON). It is made of `seen`, `identifier`, `canonical` and the attributes, and made again whenever one of
-- them changes; it can be made anew at any time. `keys` are all of the customer's, `customer` is their canonical one;
-- `names`, `counts` and `lasts` go together, and so do `kinds` and `search`, and `attribute_names` and
-- `attribute_values` (JSON). A page's rows lie scattered: so granules are small, and `shown`, which is read of those rows
-- alone, is compressed in small blocks. Replaced rows are merged away within minutes, since each page reads past them.
CREATE TABLE IF NOT EXISTS customer (
    app LowCardinality(String),
    customer FixedString(16),
    version UInt64,
    deleted UInt8,
    keys Array(FixedString(16)),
    kinds Array(LowCardinality(String)),
    search Array(String),
    name_search String,
    events UInt64,
    verified UInt64,
    first_seen DateTime64(3, 'UTC'),
    last_seen DateTime64(3, 'UTC'),
    names Array(LowCardinality(String)),
    counts Array(UInt64),
    lasts Array(DateTime64(3, 'UTC')),
    attribute_names Array(LowCardinality(String)),
    attribute_values Array(String),
    shown String SETTINGS (min_compress_block_size = 4096, max_compress_block_size = 16384),
    verified_lasts Array(Int64),
    last_received DateTime64(3, 'UTC') DEFAULT toDateTime64('1900-01-01', 3, 'UTC'),
    dated_ahead UInt64,
    ahead_at DateTime64(3, 'UTC') DEFAULT toDateTime64('1900-01-01', 3, 'UTC')
) ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (app, customer)
SETTINGS index_granularity = 256, min_age_to_force_merge_seconds = 300, fsync_after_insert = 1, fsync_part_directory = 1;

-- What is here already. A crash may have left a part of it, so it begins anew; in the order of the key and in small
-- blocks, so that memory does not grow with the table. `identifier` is filled by `warehouse/identifiers.py`, since SQL
-- cannot compute keys; `customer` by the loader, which finds that nothing is in it yet.
TRUNCATE TABLE seen;

INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed, verified_last, received_last)
SELECT app, customer_key, name, count(), countIf(verified), min(occurred_at), max(occurred_at), now64(6),
    max(if(verified, occurred_at, toDateTime64('1900-01-01', 3, 'UTC'))), max(received_at)
FROM event FINAL GROUP BY app, customer_key, name
SETTINGS optimize_aggregation_in_order = 1, insert_deduplicate = 0, max_threads = 1, max_block_size = 8192,
    min_insert_block_size_rows = 65536, min_insert_block_size_bytes = 16777216;

INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed)
SELECT app, customer_key, '', 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'), toDateTime64('1900-01-01', 3, 'UTC'),
    now64(6)
FROM identify GROUP BY app, customer_key
SETTINGS optimize_aggregation_in_order = 1, insert_deduplicate = 0, max_threads = 1, max_block_size = 8192,
    min_insert_block_size_rows = 65536, min_insert_block_size_bytes = 16777216;
