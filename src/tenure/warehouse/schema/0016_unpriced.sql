-- How many subscriptions of a customer count now and have a price, or a part of one, that nobody told: they are in no MRR.
-- Ledgers of older releases are made again because of their stamp.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS unpriced UInt32;
