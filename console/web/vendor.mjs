/** Copies the libraries that pages load from node_modules into vendor/, with their licences. Run after `npm ci`. */

import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("./", import.meta.url));
const FILES = [
  ["dist/lightweight-charts.standalone.production.mjs", "lightweight-charts.js"],
  ["dist/typings.d.ts", "lightweight-charts.d.ts"],
  ["LICENSE", "LICENSE"],
  ["NOTICE", "NOTICE"],
];

/** Copy everything below a folder. @param {string} folder */
export function copy(folder) {
  const from = join(here, "node_modules", "lightweight-charts");
  const to = join(folder, "lightweight-charts");
  mkdirSync(to, { recursive: true });
  for (const [source, target] of FILES) {
    // Not every version carries a notice.
    if (target === "NOTICE" && !existsSync(join(from, source))) continue;
    copyFileSync(join(from, source), join(to, target));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) copy(join(here, "vendor"));
