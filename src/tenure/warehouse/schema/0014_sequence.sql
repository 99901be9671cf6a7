-- The source's own count of what it says of attributes: it decides at equal times, before the order of receipt. -1: none.
ALTER TABLE fact ADD COLUMN IF NOT EXISTS sequence Int64 DEFAULT -1 CODEC(ZSTD);
ALTER TABLE identify ADD COLUMN IF NOT EXISTS sequence Int64 DEFAULT -1 CODEC(ZSTD);

-- Of values of one time another may be in force than in an older release: the list finds by this whose row there is to make.
INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed)
SELECT app, customer_key, '', 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'),
    toDateTime64('1900-01-01', 3, 'UTC'), now64(6)
FROM fact GROUP BY app, customer_key
SETTINGS insert_deduplicate = 0;
