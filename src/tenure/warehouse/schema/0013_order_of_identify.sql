-- The place of each identify in the order of receipt, as in `event`. Older rows have it from their time of receipt.
ALTER TABLE identify ADD COLUMN IF NOT EXISTS precedence UInt128 DEFAULT bitNot(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(received_at)), 64)) CODEC(ZSTD);
