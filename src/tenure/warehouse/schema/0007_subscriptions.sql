-- What stored events say of subscriptions, a fact a row: a projection of the verified events in `event`. `fact` is JSON of
-- `subscriptions.fact.Fact`. Facts are folded when they are read: nothing here says what is in force.
CREATE TABLE IF NOT EXISTS subscription_fact (
    app LowCardinality(String),
    customer_key FixedString(16),
    source LowCardinality(String),
    subscription String CODEC(ZSTD),
    event_id FixedString(16) CODEC(ZSTD),
    part UInt32 CODEC(ZSTD),
    effective_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    receipt FixedString(16) CODEC(ZSTD),
    position UInt32 CODEC(ZSTD),
    fact String CODEC(ZSTD),
    precedence UInt128 CODEC(ZSTD)
) ENGINE = ReplacingMergeTree(precedence)
ORDER BY (app, customer_key, source, subscription, event_id, part)
PRIMARY KEY (app, customer_key, source, subscription)
SETTINGS index_granularity = 512, fsync_after_insert = 1, fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- What the facts of each customer come to: movements of MRR, change by change, and spells of paying. A row is made again,
-- whole, whenever the facts, the keys or the rules change, or something dated ahead comes; it can be made anew at any time.
-- The arrays `change` go together: what the MRR of a subscription under a plan was and became within a movement of that
-- kind, in smallest units a month. Each level is rounded to 10 places, so that opening + movements = closing. `book` is ''
-- for amounts in their own currency, else the code of the reporting currency that they are converted to. Changes and ends
-- of spells that are dated ahead are in it too. `rules` is the stamp of the rules and rates that the row was made by;
-- `next_at` when something changes by itself.
CREATE TABLE IF NOT EXISTS ledger (
    app LowCardinality(String),
    customer FixedString(16),
    version UInt64,
    deleted UInt8,
    keys Array(FixedString(16)),
    rules LowCardinality(String),
    `change.book` Array(LowCardinality(String)),
    `change.currency` Array(LowCardinality(String)),
    `change.day` Array(Date32),
    `change.kind` Array(Enum8('new' = 1, 'expansion' = 2, 'contraction' = 3, 'churned' = 4, 'reactivated' = 5, 'transfer' = 6)),
    `change.plan` Array(LowCardinality(String)),
    `change.source` Array(LowCardinality(String)),
    `change.subscription` Array(String),
    `change.before` Array(Decimal(38, 10)),
    `change.after` Array(Decimal(38, 10)),
    `spell.start` Array(Date32),
    `spell.end` Array(Nullable(Date32)),
    `spell.cause` Array(LowCardinality(String)),
    `spell.reason` Array(String),
    `spell.returned` Array(Bool),
    next_at Nullable(DateTime64(3, 'UTC'))
) ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (app, customer)
SETTINGS index_granularity = 512, min_age_to_force_merge_seconds = 300, fsync_after_insert = 1, fsync_part_directory = 1;

-- What the list of customers is filtered and sorted by. `mrr` is in units of `mrr_currency` a month: of the reporting
-- currency, else of their own; without any, or in several currencies, that is '' and `mrr` 0.
ALTER TABLE customer ADD COLUMN IF NOT EXISTS billing_status LowCardinality(String);
ALTER TABLE customer ADD COLUMN IF NOT EXISTS plans Array(LowCardinality(String));
ALTER TABLE customer ADD COLUMN IF NOT EXISTS mrr Decimal(38, 10);
ALTER TABLE customer ADD COLUMN IF NOT EXISTS mrr_currency LowCardinality(String);
ALTER TABLE customer ADD COLUMN IF NOT EXISTS past_due Bool;
ALTER TABLE customer ADD COLUMN IF NOT EXISTS renews_at Nullable(DateTime64(3, 'UTC'));
ALTER TABLE customer ADD COLUMN IF NOT EXISTS paying_since Nullable(Date32);
