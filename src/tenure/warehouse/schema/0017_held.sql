-- A pause has movements of its own, and whoever is without MRR because of a pause or a concession that is to end goes on being
-- a customer: `held`. Ledgers of older releases are made again because of their stamp.
ALTER TABLE ledger MODIFY COLUMN `change.kind` Array(Enum8('new' = 1, 'expansion' = 2, 'contraction' = 3, 'churned' = 4, 'reactivated' = 5, 'transfer' = 6, 'paused' = 7, 'resumed' = 8));
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS `level.held` Array(Bool);
