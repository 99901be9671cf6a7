-- Whose each linked identifier is: the key of its customer's strongest identifier. One that is in no row is its own.
-- A projection of the links in the control database; `version` is the revision of the links that the row is of.
CREATE TABLE IF NOT EXISTS canonical (
    app LowCardinality(String),
    key FixedString(16),
    canonical FixedString(16),
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (app, key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000;
