-- What a filter by activity reads of all customers is half as wide: `lasts` in whole seconds since 1970 UTC, between 0 and
-- the greatest that there is. The times of whoever did something outside of that are made again.
ALTER TABLE customer MODIFY COLUMN counts Array(UInt32);
ALTER TABLE customer MODIFY COLUMN lasts Array(UInt32);

INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed)
SELECT app, customer_key, '', 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'), toDateTime64('1900-01-01', 3, 'UTC'),
    now64(6)
FROM seen WHERE name != '' AND (last < toDateTime64('1970-01-01', 3, 'UTC') OR last > toDateTime64('2106-02-07', 3, 'UTC'))
GROUP BY app, customer_key
SETTINGS insert_deduplicate = 0;

-- The health of each customer as it was computed last: `score` is NULL for who has too little to go by, `scored_at` for who
-- has not been looked at. `score_due` is when it is to be computed again, `score_rules` the settings that it is by.
ALTER TABLE customer ADD COLUMN IF NOT EXISTS score Nullable(UInt8);
ALTER TABLE customer ADD COLUMN IF NOT EXISTS scored_at Nullable(DateTime64(3, 'UTC'));
ALTER TABLE customer ADD COLUMN IF NOT EXISTS score_due DateTime64(3, 'UTC');
ALTER TABLE customer ADD COLUMN IF NOT EXISTS score_rules LowCardinality(String);
