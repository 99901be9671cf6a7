// Fails unless standard input is an ES2017 script without eval: node parse.mjs < script.js
import { readFileSync } from "node:fs";
import { parse, tokenizer } from "acorn";

const options = { ecmaVersion: 2017, sourceType: "script" };
const text = readFileSync(0, "utf8");
parse(text, options);
for (const token of tokenizer(text, options)) {
  if (["eval", "Function"].includes(token.value)) throw new Error(`${token.value} at ${token.start}`);
}
