-- The customer's id at a billing provider, where that is not the id that the sender goes by.
ALTER TABLE event ADD COLUMN IF NOT EXISTS billing_id String DEFAULT '' CODEC(ZSTD);
ALTER TABLE identify ADD COLUMN IF NOT EXISTS billing_id String DEFAULT '' CODEC(ZSTD);
