-- An element that was not kept, or is no longer, because its customer was erased.
ALTER TABLE arrival MODIFY COLUMN outcome Enum8('accepted' = 1, 'quarantined' = 2, 'rejected' = 3, 'erased' = 4);

-- Ids of events whose customer was erased. A copy that comes again is known by them; nothing personal is left.
CREATE TABLE IF NOT EXISTS erased_event (
    event_id FixedString(16),
    app LowCardinality(String),
    erasure FixedString(16)
) ENGINE = ReplacingMergeTree
ORDER BY event_id
SETTINGS index_granularity = 128, fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000;

-- What the statements of an erasure look for, while it lasts: ClickHouse keeps the text of such statements in files.
CREATE TABLE IF NOT EXISTS erasing (
    erasure FixedString(16),
    key FixedString(16),
    fingerprint FixedString(32)
) ENGINE = ReplacingMergeTree
ORDER BY (erasure, key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
