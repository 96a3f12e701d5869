/** Copies the libraries that pages load from node_modules into vendor/, with their licences. Run after `npm ci`. */

import { copyFileSync, mkdirSync } from "node:fs";

const here = new URL("./", import.meta.url);
const from = new URL("node_modules/lightweight-charts/", here);
const to = new URL("vendor/lightweight-charts/", here);
mkdirSync(to, { recursive: true });
for (const [source, target] of [
  ["dist/lightweight-charts.standalone.production.mjs", "lightweight-charts.js"],
  ["dist/typings.d.ts", "lightweight-charts.d.ts"],
  ["LICENSE", "LICENSE"],
  ["NOTICE", "NOTICE"],
]) {
  try {
    copyFileSync(new URL(source, from), new URL(target, to));
  } catch (error) {
    if (target !== "NOTICE") throw error;
  }
}
