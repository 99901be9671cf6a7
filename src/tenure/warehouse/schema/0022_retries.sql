-- Every received copy of an event that a client may send again without saying so: in the same window, copies with the same
-- `retry_key` are one event (`tenure.retries`). `seconds` is how long before it the other was received at the most.
CREATE TABLE IF NOT EXISTS retry_copy (
    app LowCardinality(String),
    retry_key FixedString(16),
    precedence UInt128 CODEC(ZSTD),
    event_id FixedString(16) CODEC(ZSTD),
    verified Bool,
    seconds UInt32 CODEC(ZSTD)
) ENGINE = ReplacingMergeTree
ORDER BY (retry_key, precedence, event_id)
PRIMARY KEY (retry_key, precedence)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- The cancellations that older releases stored, so that one sent again over the upgrade is told. They stay what they are:
-- none of them is a retry of another.
INSERT INTO retry_copy (app, retry_key, precedence, event_id, verified, seconds)
SELECT kept.app, toFixedString(concat(told.content, unhex('0000000000000000')), 16), kept.precedence, kept.event_id,
    kept.verified, 0
FROM (
    SELECT app, precedence, event_id, verified FROM event FINAL
    WHERE dialect = 'windback' AND name IN ('churn_recorded', 'cancel_flow_submitted') AND message_id = ''
) AS kept INNER JOIN (
    SELECT event_id, content FROM first_copy FINAL WHERE event_id IN (
        SELECT event_id FROM event
        WHERE dialect = 'windback' AND name IN ('churn_recorded', 'cancel_flow_submitted') AND message_id = '')
) AS told ON told.event_id = kept.event_id
SETTINGS insert_deduplicate = 0, max_threads = 1;
