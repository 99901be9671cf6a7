-- How each element came: what the operation was, with which key, and whether that vouches for the customer.
-- 'replayed': an element that was quarantined, was repaired and came again as a request of its own (`replay` is its
-- receipt, `repair` the id of the rule), which is in the books instead.
ALTER TABLE arrival MODIFY COLUMN outcome Enum8('accepted' = 1, 'quarantined' = 2, 'rejected' = 3, 'erased' = 4, 'replayed' = 5);
ALTER TABLE arrival ADD COLUMN IF NOT EXISTS path LowCardinality(String) DEFAULT '';
ALTER TABLE arrival ADD COLUMN IF NOT EXISTS key_prefix LowCardinality(String) DEFAULT '';
ALTER TABLE arrival ADD COLUMN IF NOT EXISTS verified Bool DEFAULT false;

ALTER TABLE quarantine MODIFY COLUMN outcome Enum8('quarantined' = 2, 'rejected' = 3, 'replayed' = 5);
ALTER TABLE quarantine ADD COLUMN IF NOT EXISTS path LowCardinality(String) DEFAULT '';
ALTER TABLE quarantine ADD COLUMN IF NOT EXISTS key_prefix LowCardinality(String) DEFAULT '';
-- Of what was quarantined before this was kept: the dialects that take secret keys or signatures alone.
ALTER TABLE quarantine ADD COLUMN IF NOT EXISTS verified Bool DEFAULT dialect IN ('churnkey', 'customerscore', 'stripe');
ALTER TABLE quarantine ADD COLUMN IF NOT EXISTS replay FixedString(16) DEFAULT toFixedString('', 16);
ALTER TABLE quarantine ADD COLUMN IF NOT EXISTS repair String DEFAULT '' CODEC(ZSTD);

-- Elements are looked up by receipt, and by the id that a message id gives.
ALTER TABLE quarantine ADD INDEX IF NOT EXISTS receipt receipt TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE quarantine MATERIALIZE INDEX receipt;
ALTER TABLE quarantine ADD INDEX IF NOT EXISTS replay replay TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE quarantine MATERIALIZE INDEX replay;
ALTER TABLE identify ADD INDEX IF NOT EXISTS receipt receipt TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE identify MATERIALIZE INDEX receipt;
ALTER TABLE arrival ADD INDEX IF NOT EXISTS event_id event_id TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE arrival MATERIALIZE INDEX event_id;
