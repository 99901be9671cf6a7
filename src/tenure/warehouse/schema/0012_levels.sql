-- What all changes of a day come to: the MRR of a customer in a currency when a day ended on which it changed, and the plan
-- that most of it is of. So churn and cohorts need no sums over a customer's history. The arrays go together, by book,
-- then currency, then day; `book` and amounts are as in `change`.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS `level.book` Array(LowCardinality(String));
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS `level.currency` Array(LowCardinality(String));
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS `level.day` Array(Date32);
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS `level.after` Array(Decimal(38, 10));
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS `level.plan` Array(LowCardinality(String));

-- No rules are called so: the loader makes every ledger anew, in the background, and answers count those to come.
ALTER TABLE ledger UPDATE rules = '' WHERE true SETTINGS mutations_sync = 1;
