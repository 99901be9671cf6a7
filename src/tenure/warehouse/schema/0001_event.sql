-- Events, a customer's together and in the order of time, so that a timeline is one range of the primary key.
-- Loaded rows keep the key that they arrived under; links between keys are applied when reading.
-- `precedence` is larger for an earlier receipt: of two copies the first received one is kept.
CREATE TABLE IF NOT EXISTS event (
    app LowCardinality(String),
    customer_key FixedString(16),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    event_id FixedString(16),
    name LowCardinality(String),
    customer_id String CODEC(ZSTD),
    uid String CODEC(ZSTD),
    email String CODEC(ZSTD),
    anonymous_id String CODEC(ZSTD),
    user_id String CODEC(ZSTD),
    properties String CODEC(ZSTD),
    context String CODEC(ZSTD),
    message_id String CODEC(ZSTD),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    receipt FixedString(16) CODEC(ZSTD),
    position UInt32 CODEC(ZSTD),
    dialect LowCardinality(String),
    verified Bool,
    precedence UInt128 CODEC(ZSTD),
    superseded UInt8 CODEC(ZSTD)
) ENGINE = ReplacingMergeTree(precedence, superseded)
ORDER BY (app, customer_key, occurred_at, event_id)
PRIMARY KEY (app, customer_key, occurred_at)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- One row for each event id: the copy that was received first, and the sort key that it has in `event`.
-- Fine granules, since the loader looks up as many scattered ids as a block has events.
CREATE TABLE IF NOT EXISTS first_copy (
    event_id FixedString(16),
    app LowCardinality(String),
    precedence UInt128 CODEC(ZSTD),
    receipt FixedString(16) CODEC(ZSTD),
    position UInt32 CODEC(ZSTD),
    content FixedString(8),
    customer_key FixedString(16),
    occurred_at DateTime64(3, 'UTC') CODEC(ZSTD)
) ENGINE = ReplacingMergeTree(precedence)
ORDER BY event_id
SETTINGS index_granularity = 128, min_compress_block_size = 2048, max_compress_block_size = 4096, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- What each request brought, element by element: receipts and the books (conservation) are read from here.
CREATE TABLE IF NOT EXISTS arrival (
    app LowCardinality(String),
    receipt FixedString(16) CODEC(ZSTD),
    kind Enum8('event' = 1, 'identify' = 2, 'refusal' = 3),
    position UInt32 CODEC(ZSTD),
    part UInt16 CODEC(ZSTD),
    event_id FixedString(16) CODEC(ZSTD),
    content FixedString(8) CODEC(ZSTD),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    dialect LowCardinality(String),
    outcome Enum8('accepted' = 1, 'quarantined' = 2, 'rejected' = 3),
    code LowCardinality(String)
) ENGINE = ReplacingMergeTree
ORDER BY (app, receipt, kind, position, part)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000;

-- What could not be used, and why.
CREATE TABLE IF NOT EXISTS quarantine (
    app LowCardinality(String),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    receipt FixedString(16),
    position Nullable(UInt32),
    part UInt16,
    dialect LowCardinality(String),
    outcome Enum8('quarantined' = 2, 'rejected' = 3),
    code LowCardinality(String),
    field String CODEC(ZSTD),
    message String CODEC(ZSTD),
    payload String CODEC(ZSTD)
) ENGINE = ReplacingMergeTree
ORDER BY (app, received_at, receipt, part)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000;

-- What clients asserted of customers and their users, as they said it.
CREATE TABLE IF NOT EXISTS identify (
    app LowCardinality(String),
    customer_key FixedString(16),
    set_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    receipt FixedString(16),
    position UInt32,
    part UInt16,
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    dialect LowCardinality(String),
    verified Bool,
    customer_id String CODEC(ZSTD),
    uid String CODEC(ZSTD),
    email String CODEC(ZSTD),
    anonymous_id String CODEC(ZSTD),
    user_id String CODEC(ZSTD),
    traits String CODEC(ZSTD),
    user_traits String CODEC(ZSTD),
    channels String CODEC(ZSTD),
    users String CODEC(ZSTD)
) ENGINE = ReplacingMergeTree
ORDER BY (app, customer_key, set_at, receipt, position, part)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000;
