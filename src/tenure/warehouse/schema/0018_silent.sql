-- How many live subscriptions of a customer have a period that ended long ago, with no word of them since. Ledgers of older
-- releases are made again because of their stamp.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS silent UInt32;
