// Compiles src twice: dist/esm for import, dist/cjs for require.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";

const here = new URL("./", import.meta.url);
rmSync(new URL("dist", here), { recursive: true, force: true });
for (const project of ["tsconfig.json", "tsconfig.cjs.json"]) {
  execFileSync("npx", ["--no-install", "tsc", "-p", project], { cwd: here, stdio: "inherit" });
}
writeFileSync(new URL("dist/cjs/package.json", here), '{"type": "commonjs"}\n');
