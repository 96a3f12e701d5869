/** The style sheet that coverage, labels and reports share; linked once. */

import { h } from "../../dom.js";

export function sheet() {
  const href = "/static/pages/duty/duty.css";
  if (!document.head.querySelector(`link[href="${href}"]`)) document.head.append(h("link", { rel: "stylesheet", href }));
}
