"""MRR and churn of an app, summed by the warehouse off `ledger`: the same numbers as `tenure.subscriptions.metrics`."""
