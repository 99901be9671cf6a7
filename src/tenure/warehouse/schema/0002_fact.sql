-- What was said of customers and of their users, one statement a row: `set`, `set_once`, `increment` and `unset` of an
-- attribute or a channel, `member` (this user is one of the customer's), `list` (the users are these, and no others).
-- `subject` is the user id; for a channel, the channel and the address. `value` is canonical JSON.
-- `element_id` tells one delivery of an element from another element; of several copies of one, the first received
-- counts. Facts are folded when reading: nothing here says what is in force.
CREATE TABLE IF NOT EXISTS fact (
    app LowCardinality(String),
    customer_key FixedString(16),
    scope Enum8('customer' = 1, 'user' = 2, 'channel' = 3, 'users' = 4),
    subject String CODEC(ZSTD),
    name String CODEC(ZSTD),
    set_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    operation Enum8('unset' = 1, 'set_once' = 2, 'set' = 3, 'increment' = 4, 'member' = 5, 'list' = 6),
    element_id FixedString(16) CODEC(ZSTD),
    verified Bool,
    value String CODEC(ZSTD),
    dialect LowCardinality(String),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    receipt FixedString(16) CODEC(ZSTD),
    position UInt32 CODEC(ZSTD),
    part UInt16 CODEC(ZSTD),
    precedence UInt128 CODEC(ZSTD),
    INDEX subject subject TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree(precedence)
ORDER BY (app, customer_key, scope, subject, name, set_at, operation, element_id, verified)
PRIMARY KEY (app, customer_key, scope, subject, name)
SETTINGS index_granularity = 2048, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- A user is one of the customer that said so last, so the events of a user are looked up across customers.
ALTER TABLE event ADD INDEX IF NOT EXISTS user_id user_id TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE event MATERIALIZE INDEX user_id;

-- Of `0014_sequence.sql`, here too: the facts of what was stored before are written now.
ALTER TABLE fact ADD COLUMN IF NOT EXISTS sequence Int64 DEFAULT -1 CODEC(ZSTD);
