-- How many events of each name there are, by dialect and day (UTC). The loader adds what each block brings and takes off
-- what an earlier copy replaces; an erasure takes off what it removes. Rows that come to nothing go when parts are merged.
CREATE TABLE IF NOT EXISTS volume (
    app LowCardinality(String),
    name LowCardinality(String),
    dialect LowCardinality(String),
    day Date32,
    events Int64
) ENGINE = SummingMergeTree(events)
ORDER BY (app, name, dialect, day)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- What is here already, as the difference from what is counted so far: a crash may have left a part of it.
INSERT INTO volume
SELECT app, name, dialect, day, sum(counted) AS missing FROM (
    SELECT app, name, dialect, toDate32(occurred_at) AS day, toInt64(count()) AS counted
    FROM event FINAL WHERE event_id NOT IN (SELECT event_id FROM erased_event) GROUP BY app, name, dialect, day
    UNION ALL
    SELECT app, name, dialect, day, -events FROM volume
) GROUP BY app, name, dialect, day HAVING missing != 0
SETTINGS insert_deduplicate = 0, max_threads = 1, max_block_size = 8192, max_bytes_before_external_group_by = 67108864;
