/** Whether vendor/ is what the locked packages give: copies them anew into a folder and compares byte for byte. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { copy } from "./vendor.mjs";

const kept = fileURLToPath(new URL("vendor/", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "vendor-"));
try {
  copy(fresh);
  const files = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
    .map((each) => join(each.parentPath ?? each.path, each.name).slice(folder.length).replace(/^\//, "")).sort();
  const wanted = files(fresh);
  const differs = wanted.filter((name) => {
    try {
      return !readFileSync(join(fresh, name)).equals(readFileSync(join(kept, name)));
    } catch {
      return true;
    }
  });
  const extra = files(kept).filter((name) => !wanted.includes(name));
  if (differs.length || extra.length) {
    console.error(`vendor/ is not what package-lock.json gives: ${[...differs, ...extra].join(", ")}. Run node vendor.mjs.`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}
